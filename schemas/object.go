package schemas

import "firstseen/schemas/jsonscan"

// each calls fn for every member or element of the object or array at i, which must be valid JSON. fn gets the key, nil
// in an array, and where the value begins; it returns the index after the value.
func each(data []byte, i int, fn func(key []byte, at int) int) (end int) {
	closing := data[i] + 2 // true of both kinds of brackets
	for i = jsonscan.Space(data, i+1); data[i] != closing; {
		var key []byte
		if closing == '}' {
			end, plain, _ := jsonscan.String(data, i+1)
			if key = data[i+1 : end]; !plain {
				key = jsonscan.Unquote(nil, key)
			}
			i = jsonscan.Space(data, jsonscan.Space(data, end+1)+1)
		}
		if i = jsonscan.Space(data, fn(key, i)); data[i] == ',' {
			i = jsonscan.Space(data, i+1)
		}
	}
	return i + 1
}

// leaf appends the text of the string, number or literal at i. A null has none.
func leaf(dst, data []byte, i int) (text []byte, kind Kind, end int) {
	if data[i] == '"' {
		end, _, _ := jsonscan.String(data, i+1)
		return jsonscan.Unquote(dst, data[i+1:end]), String, end + 1
	}
	end, _ = jsonscan.Skip(data, i)
	switch data[i] {
	case 'n':
		return dst, String, end
	case 't', 'f':
		return append(dst, data[i:end]...), Bool, end
	}
	return append(dst, data[i:end]...), Number, end
}

// appendObject appends the value at i of valid JSON as Elastic shows it in a text field: {a=1, b=[x, y]}. Empty strings
// and nulls are left out, and so are objects and arrays of which nothing is left.
func appendObject(dst, data []byte, i int) (text []byte, end int) {
	if data[i] != '{' && data[i] != '[' {
		text, _, end = leaf(dst, data, i)
		return text, end
	}
	start, empty := len(dst), true
	dst = append(dst, data[i])
	end = each(data, i, func(key []byte, at int) int {
		before := len(dst)
		if !empty {
			dst = append(dst, ", "...)
		}
		if key != nil {
			dst = append(append(dst, key...), '=')
		}
		bare := len(dst)
		var next int
		if dst, next = appendObject(dst, data, at); len(dst) == bare {
			dst = dst[:before]
		} else {
			empty = false
		}
		return next
	})
	if empty {
		return dst[:start], end
	}
	return append(dst, data[i]+2), end
}

// maxName is the longest name that leaves makes; what has a longer one is left out.
const maxName = 4096

// leaves calls fn for every value within the object or array at i of valid JSON that is neither empty nor null, with
// its dotted name. elem is the index in the outermost array, -1 outside of arrays.
func leaves(name, data []byte, i int, elem int32, fn func(name []byte, v Value)) (end int) {
	if data[i] != '{' && data[i] != '[' {
		text, kind, end := leaf(nil, data, i)
		if len(text) > 0 {
			fn(name, Value{Text: text, Kind: kind, Elem: max(elem, 0)})
		}
		return end
	}
	outermost := data[i] == '[' && elem < 0
	return each(data, i, func(key []byte, at int) int {
		if outermost {
			elem++
		}
		if key == nil {
			return leaves(name, data, at, elem, fn)
		}
		if len(name)+len(key) > maxName {
			end, _ := jsonscan.Skip(data, at)
			return end
		}
		return leaves(append(append(name[:len(name):len(name)], '.'), key...), data, at, elem, fn)
	})
}
