package config

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/aws"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// saslKeys are the keys that a mechanism reads; any other is refused, since it would have no effect.
var saslKeys = map[string]string{
	"none": "", "PLAIN": "username password password_file", "SCRAM-SHA-256": "username password password_file", "SCRAM-SHA-512": "username password password_file",
	"OAUTHBEARER": "token token_file extensions", "AWS_MSK_IAM": "access_key secret_key secret_key_file session_token session_token_file",
}

func (k *checker) sasl() {
	s, m := k.SASL, k.SASL.Mechanism
	set := map[string]bool{"username": s.Username != "", "password": s.Password != "", "password_file": s.PasswordFile != "", "token": s.Token != "",
		"token_file": s.TokenFile != "", "extensions": len(s.Extensions) > 0, "access_key": s.AccessKey != "", "secret_key": s.SecretKey != "",
		"secret_key_file": s.SecretKeyFile != "", "session_token": s.SessionToken != "", "session_token_file": s.SessionTokenFile != ""}
	for _, key := range keys { // in their order
		name, ok := strings.CutPrefix(key.name, "sasl.")
		if ok && set[name] && !slices.Contains(strings.Fields(saslKeys[m]), name) {
			k.must(false, key.name, "has no effect with sasl.mechanism %s", m)
		}
	}
	one := func(name string) {
		k.must(!set[name] || !set[name+"_file"], "sasl."+name, "and sasl.%s_file are both set: choose one", name)
	}
	switch m {
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		k.must(set["username"], "sasl.username", "is needed with %s", m)
		k.must(set["password"] || set["password_file"], "sasl.password_file", "or sasl.password is needed with %s", m)
		one("password")
	case "OAUTHBEARER":
		k.must(set["token"] || set["token_file"], "sasl.token_file", "or sasl.token is needed with %s", m)
		one("token")
	case "AWS_MSK_IAM":
		k.must(set["access_key"] == (set["secret_key"] || set["secret_key_file"]), "sasl.access_key", "and sasl.secret_key or secret_key_file belong together")
		k.must(set["access_key"] || !set["session_token"] && !set["session_token_file"], "sasl.session_token", "needs sasl.access_key")
		one("secret_key")
		one("session_token")
	}
}

// mechanism is franz-go's, fed with the secrets as they are at each login; nil without SASL.
func (s SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "PLAIN":
		auth := func(context.Context) (plain.Auth, error) {
			password, err := secret("sasl.password", s.Password, s.PasswordFile)
			return plain.Auth{User: s.Username, Pass: password}, err
		}
		_, err := auth(context.Background())
		return plain.Plain(auth), err
	case "SCRAM-SHA-256", "SCRAM-SHA-512":
		auth := func(context.Context) (scram.Auth, error) {
			password, err := secret("sasl.password", s.Password, s.PasswordFile)
			return scram.Auth{User: s.Username, Pass: password}, err
		}
		_, err := auth(context.Background())
		if s.Mechanism == "SCRAM-SHA-256" {
			return scram.Sha256(auth), err
		}
		return scram.Sha512(auth), err
	case "OAUTHBEARER":
		auth := func(context.Context) (oauth.Auth, error) {
			token, err := secret("sasl.token", s.Token, s.TokenFile)
			return oauth.Auth{Token: token, Extensions: s.Extensions}, err
		}
		_, err := auth(context.Background())
		return oauth.Oauth(auth), err
	case "AWS_MSK_IAM":
		_, err := s.credentials(context.Background())
		return aws.ManagedStreamingIAM(s.credentials), err
	}
	return nil, nil
}

// secret is the value, or the content of the file without the line's end that editors add.
func secret(key, value, file string) (string, error) {
	if file == "" {
		return value, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s_file: %w", key, err)
	}
	value = strings.TrimRight(string(text), "\r\n")
	if value == "" {
		return "", fmt.Errorf("%s_file: %s is empty", key, file)
	}
	return value, nil
}

// credentials are those of the configuration, else of the AWS environment variables, else of the shared credentials file.
// The rest of the AWS chain (roles of an instance, a pod, a web identity) would need the AWS SDK; a sidecar or
// credential_process that keeps the file current does instead. The region is that of the broker's name or AWS_REGION.
func (s SASL) credentials(context.Context) (aws.Auth, error) {
	if s.AccessKey != "" {
		key, err := secret("sasl.secret_key", s.SecretKey, s.SecretKeyFile)
		if err != nil {
			return aws.Auth{}, err
		}
		token, err := secret("sasl.session_token", s.SessionToken, s.SessionTokenFile)
		return aws.Auth{AccessKey: s.AccessKey, SecretKey: key, SessionToken: token}, err
	}
	if id, key := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"); id != "" && key != "" {
		return aws.Auth{AccessKey: id, SecretKey: key, SessionToken: os.Getenv("AWS_SESSION_TOKEN")}, nil
	}
	return sharedCredentials()
}

// sharedCredentials reads a profile of the file that the AWS command line uses: sections in brackets, "key = value" lines.
func sharedCredentials() (auth aws.Auth, err error) {
	path := os.Getenv("AWS_SHARED_CREDENTIALS_FILE")
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return auth, errNoCredentials
		}
		path = filepath.Join(home, ".aws", "credentials")
	}
	f, err := os.Open(path)
	if err != nil {
		return auth, fmt.Errorf("%w; %w", errNoCredentials, err)
	}
	defer f.Close()
	want := os.Getenv("AWS_PROFILE")
	if want == "" {
		want = "default"
	}
	profile := ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "["); ok {
			profile = strings.TrimSpace(strings.TrimSuffix(name, "]"))
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		if profile != want {
			continue
		}
		switch value = strings.TrimSpace(value); strings.TrimSpace(name) {
		case "aws_access_key_id":
			auth.AccessKey = value
		case "aws_secret_access_key":
			auth.SecretKey = value
		case "aws_session_token":
			auth.SessionToken = value
		}
	}
	if err := lines.Err(); err != nil {
		return aws.Auth{}, err
	}
	if auth.AccessKey == "" || auth.SecretKey == "" {
		return aws.Auth{}, errors.Join(errNoCredentials, fmt.Errorf("%s has no keys for profile %q", path, want))
	}
	return auth, nil
}

// errNoCredentials is what AWS_MSK_IAM says without any.
var errNoCredentials = errors.New("AWS_MSK_IAM: no credentials: set sasl.access_key and sasl.secret_key_file, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, " +
	"or keep a current profile in AWS_SHARED_CREDENTIALS_FILE (roles of an instance, a pod or a web identity are not looked up)")
