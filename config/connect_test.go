package config

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// connect loads text with the cluster's address and asks for metadata.
func connect(t *testing.T, c *kfake.Cluster, text string, env ...string) error {
	t.Helper()
	opts, err := load(t, minimal+text, append(env, "FIRSTSEEN_BROKERS="+c.ListenAddrs()[0])...).ClientOpts()
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(append(opts, kgo.RequestRetries(0))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return cl.Ping(ctx)
}

func TestPlainAndScram(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			c := cluster(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "worker", "right"))
			file := write(t, "password", "right\n")
			if err := connect(t, c, "sasl: {mechanism: "+mechanism+", username: worker, password_file: "+file+"}\n"); err != nil {
				t.Errorf("password of a file: %v", err)
			}
			if err := connect(t, c, "sasl: {mechanism: "+mechanism+", username: worker}\n", "FIRSTSEEN_SASL_PASSWORD=right"); err != nil {
				t.Errorf("password of the environment: %v", err)
			}
			if err := connect(t, c, "sasl: {mechanism: "+mechanism+", username: worker, password: wrong}\n"); err == nil {
				t.Error("a wrong password works")
			}
		})
	}
}

// login lets the cluster accept a mechanism that kfake does not know, and returns what clients send to log in.
func login(c *kfake.Cluster, mechanism string) <-chan string {
	sent := make(chan string, 10)
	c.ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := r.ResponseKind().(*kmsg.SASLHandshakeResponse)
		resp.SupportedMechanisms = []string{mechanism}
		if r.(*kmsg.SASLHandshakeRequest).Mechanism != mechanism {
			resp.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		}
		return resp, nil, true
	})
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		sent <- string(r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes)
		resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.SASLAuthBytes = []byte("{}")
		return resp, nil, true
	})
	return sent
}

func TestOAuthBearerReadsTheTokenAtEachLogin(t *testing.T) {
	c := cluster(t)
	sent := login(c, "OAUTHBEARER")
	file := write(t, "token", "first\n")
	text := "brokers: [\"" + c.ListenAddrs()[0] + "\"]\nsasl: {mechanism: OAUTHBEARER, token_file: " + file + ", extensions: {logicalCluster: lkc-1}}\n"
	opts, err := load(t, minimal+text).ClientOpts()
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"first", "renewed"} {
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		cl, err := kgo.NewClient(opts...) // the same options
		if err != nil {
			t.Fatal(err)
		}
		_ = cl.Ping(t.Context()) // the answer "{}" is a refusal to OAUTHBEARER; what was sent counts
		cl.Close()
		if got := <-sent; !strings.Contains(got, "auth=Bearer "+token+"\x01") || !strings.Contains(got, "logicalCluster=lkc-1") {
			t.Errorf("sent %q", got)
		}
		for len(sent) > 0 {
			<-sent
		}
	}
}

func TestMSKIAMCredentials(t *testing.T) {
	profiles := write(t, "credentials", "[default]\naws_access_key_id = AKDEFAULT\naws_secret_access_key = s\n\n[kafka]\naws_access_key_id=AKPROFILE\naws_secret_access_key=s\naws_session_token=TOKENP\n")
	none := filepath.Join(t.TempDir(), "none")
	for _, test := range []struct {
		name, text string
		env        map[string]string
		want       []string
	}{
		{"configuration", "access_key: AKCONFIG, secret_key_file: " + write(t, "secret", "s\n") + ", session_token: TOKENC", map[string]string{"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "s"}, []string{"AKCONFIG/", "TOKENC"}},
		{"environment", "", map[string]string{"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "TOKENE"}, []string{"AKENV/", "TOKENE"}},
		{"default profile", "", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": profiles}, []string{"AKDEFAULT/"}},
		{"named profile", "", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": profiles, "AWS_PROFILE": "kafka"}, []string{"AKPROFILE/", "TOKENP"}},
		{"nothing", "", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for k, v := range map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_REGION": "eu-central-1"} {
				t.Setenv(k, v)
			}
			for k, v := range test.env {
				t.Setenv(k, v)
			}
			c := cluster(t)
			sent := login(c, "AWS_MSK_IAM")
			err := connect(t, c, "sasl: {mechanism: AWS_MSK_IAM, "+test.text+"}\n")
			if test.want == nil {
				if err == nil || !strings.Contains(err.Error(), "no credentials") {
					t.Errorf("without credentials: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := <-sent
			for _, want := range append(test.want, "eu-central-1/kafka-cluster/aws4_request") {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in %s", want, got)
				}
			}
		})
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca := authority(t, dir, "ca")
	other := authority(t, dir, "other")
	server := ca.issue(t, dir, "server", "kafka.internal")
	ca.issue(t, dir, "worker", "worker")
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	c := cluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}))
	in := func(name string) string { return filepath.Join(dir, name) }
	good := "tls: {enabled: true, ca_file: " + in("ca.pem") + ", cert_file: " + in("worker.pem") + ", key_file: " + in("worker.key") + ", server_name: kafka.internal}\n"
	if err := connect(t, c, good); err != nil {
		t.Errorf("right certificates: %v", err)
	}
	for text, want := range map[string]string{
		strings.Replace(good, "server_name: kafka.internal", "server_name: kafka.example", 1): "kafka.example",
		strings.Replace(good, in("ca.pem"), in("other.pem"), 1):                               "certificate signed by unknown authority",
		"tls: {enabled: true, ca_file: " + in("ca.pem") + ", server_name: kafka.internal}\n":  "certificate required",
		strings.Replace(good, in("ca.pem"), in("none.pem"), 1):                                "tls.ca_file: ",
		strings.Replace(good, in("ca.pem"), in("worker.key"), 1):                              "has no certificate in PEM form",
		strings.Replace(good, in("worker.key"), in("ca.key"), 1):                              "tls.cert_file, tls.key_file: ",
	} {
		if err := connect(t, c, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}

	// A renewed certificate is used by the next connection of the same client options.
	opts, err := load(t, minimal+good, "FIRSTSEEN_BROKERS="+c.ListenAddrs()[0]).ClientOpts()
	if err != nil {
		t.Fatal(err)
	}
	other.issue(t, dir, "worker", "worker")
	cl, err := kgo.NewClient(append(opts, kgo.RequestRetries(0))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.Ping(t.Context()); err == nil {
		t.Error("the certificate was read once only")
	}
}

// issuer signs certificates for a test.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func authority(t *testing.T, dir, name string) issuer {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	a := issuer{cert: template}
	a.cert, a.key = a.sign(t, dir, name, template)
	return a
}

func (a issuer) issue(t *testing.T, dir, name, host string) tls.Certificate {
	t.Helper()
	a.sign(t, dir, name, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// sign writes NAME.pem and NAME.key. An authority without a key of its own signs itself.
func (a issuer) sign(t *testing.T, dir, name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for ext, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: secret}} {
		var b bytes.Buffer
		if err := pem.Encode(&b, block); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+ext), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}
