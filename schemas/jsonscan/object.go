package jsonscan

// each calls fn for every member or element of the object or array at i, which must be valid JSON. fn gets the key, nil
// in an array, and where the value begins; it returns the index after the value.
func each(data []byte, i int, fn func(key []byte, at int) int) (end int) {
	closing := data[i] + 2 // true of both kinds of brackets
	for i = Space(data, i+1); data[i] != closing; {
		var key []byte
		if closing == '}' {
			end, plain, _ := String(data, i+1)
			if key = data[i+1 : end]; !plain {
				key = Unquote(nil, key)
			}
			i = Space(data, Space(data, end+1)+1)
		}
		if i = Space(data, fn(key, i)); data[i] == ',' {
			i = Space(data, i+1)
		}
	}
	return i + 1
}

// leaf appends the text of the string, number or literal at i. A null has none.
func leaf(dst, data []byte, i int) (text []byte, kind Kind, end int) {
	if data[i] == '"' {
		end, _, _ := String(data, i+1)
		return Unquote(dst, data[i+1:end]), Text, end + 1
	}
	end, _ = Skip(data, i)
	switch data[i] {
	case 'n':
		return dst, Text, end
	case 't', 'f':
		return append(dst, data[i:end]...), Bool, end
	}
	return append(dst, data[i:end]...), Number, end
}

// AppendText appends the value at i of valid JSON as Elastic shows it in a text field: {a=1, b=[x, y]}. Empty strings
// and nulls are left out, and so are objects and arrays of which nothing is left.
func AppendText(dst, data []byte, i int) (text []byte, end int) {
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
		if dst, next = AppendText(dst, data, at); len(dst) == bare {
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

// maxName is the longest name that Leaves makes; what has a longer one is left out.
const maxName = 4096

// Leaves calls fn for every value within the object or array at i of valid JSON that is neither empty nor null: with its
// name, which is the given one and the keys that lead to it, joined by dots; its text; and the index in the outermost
// array around it, else 0.
func Leaves(name, data []byte, i int, fn func(name, text []byte, kind Kind, elem int32)) {
	leaves(name, data, i, -1, fn)
}

func leaves(name, data []byte, i int, elem int32, fn func(name, text []byte, kind Kind, elem int32)) (end int) {
	if data[i] != '{' && data[i] != '[' {
		text, kind, end := leaf(nil, data, i)
		if len(text) > 0 {
			fn(name, text, kind, max(elem, 0))
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
			end, _ := Skip(data, at)
			return end
		}
		return leaves(append(append(name[:len(name):len(name)], '.'), key...), data, at, elem, fn)
	})
}
