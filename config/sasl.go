package config

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/aws"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

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
