// Package config reads the configuration of a worker: one YAML file, FIRSTSEEN_ environment variables over it, flags over
// both. A key that is not known is refused with its place and a suggestion, and so is a value that cannot work; nothing is
// ignored. Secrets can be given as files.
package config

import (
	_ "embed" // the schema
	"os"
	"runtime"
	"time"
)

// Config is the whole configuration. Default says what a key is when nobody sets it; schema.json says the same to editors.
// The key of a field is its yaml tag; the keys of a struct are below its own, as "tls.ca_file". Paths are relative to the
// working directory.
type Config struct {
	App       string   `yaml:"app"`      // prefix of all topics, groups and transactional ids; one deployment has one
	Instance  string   `yaml:"instance"` // name of this worker: stable over restarts, unique in the deployment
	Brokers   []string `yaml:"brokers"`  // host:port
	TLS       TLS      `yaml:"tls"`
	SASL      SASL     `yaml:"sasl"`
	Sources   []Source `yaml:"sources"` // topics with logs
	Rules     Rules    `yaml:"rules"`
	Strict    bool     `yaml:"strict"`                             // both built-in rules to the letter
	Stages    []string `yaml:"stages" oneof:"ingest|detect|group"` // what this worker does
	Lanes     Lanes    `yaml:"lanes"`                              // a single number stands for all three
	State     State    `yaml:"state"`
	Learning  Learning `yaml:"learning"`                            // what a deployment that begins does about the records that are there
	Commit    Commit   `yaml:"commit"`                              // when a transaction ends
	HTTP      HTTP     `yaml:"http"`                                // health and metrics
	Outputs   []string `yaml:"outputs" oneof:"ecs|ocsf|panther"`    // shapes of an alert; each alert is written once in each
	Validate  string   `yaml:"validate" oneof:"matching|all"`       // matching: parse only records that some rule may match
	Bounds    Bounds   `yaml:"bounds"`                              // of the input; what is over goes to the dead letters
	OnGap     string   `yaml:"on_source_gap" oneof:"stop|continue"` // when the source's retention ran out: refuse, or count and alert
	Stop      string   `yaml:"stop" oneof:"keep|leave"`             // keep the place in the groups for a restart, or leave for scaling in
	Purge     Duration `yaml:"purge_after"`                         // age at which consumed internal records are deleted
	Close     Duration `yaml:"close_after"`                         // quiet time after which a window that has ended is reported closed
	Partition int      `yaml:"partitions"`                          // of the internal topics that are keyed; fixed when they are created
	Replicas  int      `yaml:"replication_factor"`                  // of the internal topics when they are created; -1: the broker's default

	from map[string]string // key -> where it was set
}

// TLS is how the brokers are recognised and, with a certificate, this worker.
type TLS struct {
	Enabled    bool   `yaml:"enabled"`
	CAFile     string `yaml:"ca_file"`   // PEM; empty: the system's
	CertFile   string `yaml:"cert_file"` // PEM; read again at each connection, so it may be renewed
	KeyFile    string `yaml:"key_file"`
	ServerName string `yaml:"server_name"` // expected in the brokers' certificates; empty: the host that is dialled
}

// SASL is how this worker logs in. Files are read again at each login, so they may be renewed.
type SASL struct {
	Mechanism        string            `yaml:"mechanism" oneof:"none|PLAIN|SCRAM-SHA-256|SCRAM-SHA-512|OAUTHBEARER|AWS_MSK_IAM"`
	Username         string            `yaml:"username"` // PLAIN, SCRAM
	Password         string            `yaml:"password" secret:"true"`
	PasswordFile     string            `yaml:"password_file"`
	Token            string            `yaml:"token" secret:"true"` // OAUTHBEARER
	TokenFile        string            `yaml:"token_file"`
	Extensions       map[string]string `yaml:"extensions"` // OAUTHBEARER, such as logicalCluster
	AccessKey        string            `yaml:"access_key"` // AWS_MSK_IAM; without it the AWS environment variables and files are used
	SecretKey        string            `yaml:"secret_key" secret:"true"`
	SecretKeyFile    string            `yaml:"secret_key_file"`
	SessionToken     string            `yaml:"session_token" secret:"true"`
	SessionTokenFile string            `yaml:"session_token_file"`
}

// Source is a topic with logs.
type Source struct {
	Topic  string `yaml:"topic"`
	Format string `yaml:"format" oneof:"auto|cloudtrail|s3access"` // auto: told by each record
}

// Rules say which rules are loaded and how they differ from their files.
type Rules struct {
	Paths     []string  `yaml:"paths"`                   // files and directories, beside the built-in rules; the same id replaces
	Builtin   bool      `yaml:"builtin"`                 // load the built-in rules
	Presets   []string  `yaml:"presets" oneof:"presets"` // the program's own rules that are loaded only when they are named
	ASN       string    `yaml:"asn"`                     // MMDB file of networks and who announces them, for rules that use source.as.*
	Set       []string  `yaml:"set"`                     // RULE.KEY=VALUE
	Overrides Overrides `yaml:"overrides"`               // parameters by rule id
}

// Overrides are parameters of rules, as in a rule file, by rule id.
type Overrides = map[string]map[string]any

// Lanes is how many lanes each stage has in this process: 1 to 64. More lanes than partitions are idle.
type Lanes struct {
	Ingest int `yaml:"ingest"`
	Detect int `yaml:"detect"`
	Group  int `yaml:"group"`
}

// State is the local store. It can be lost: a restart restores it from Kafka.
type State struct {
	Dir      string `yaml:"dir"`
	Cache    Size   `yaml:"cache"`
	MemTable Size   `yaml:"memtable"`
	MinFree  Size   `yaml:"min_free"` // of its disk, at most a quarter of it: with less, detect and group wait; 0: they do not
}

// Commit ends a transaction at whichever comes first. A larger transaction costs less a record, a shorter one delays less.
type Commit struct {
	Messages    int      `yaml:"messages"`
	Records     int      `yaml:"records"` // decoded
	Bytes       Size     `yaml:"bytes"`   // decoded
	Every       Duration `yaml:"every"`
	Transaction Duration `yaml:"transaction_timeout"` // the broker aborts a transaction that is open for longer
	Session     Duration `yaml:"session_timeout"`     // a member that is silent for longer loses its partitions
	Rebalance   Duration `yaml:"rebalance_timeout"`
}

// HTTP serves /healthz, /readyz and /metrics.
type HTTP struct {
	Listen    string `yaml:"listen"`    // host:port, or off
	Advertise string `yaml:"advertise"` // host:port under which other workers and users reach it; empty: the listener's
}

// Bounds of a message and its records.
type Bounds struct {
	MessageBytes Size `yaml:"message_bytes"` // after decompression
	Records      int  `yaml:"records"`       // of a message
	RecordBytes  Size `yaml:"record_bytes"`
	Depth        int  `yaml:"depth"`   // of JSON
	Nesting      int  `yaml:"nesting"` // envelopes inside one another
}

// Schema is the JSON Schema of the configuration file.
//
//go:embed schema.json
var Schema []byte

// Default is the configuration of somebody who sets nothing: every default of every key is here.
func Default() *Config {
	host, _ := os.Hostname() // without one, instance has to be set
	return &Config{
		App:       "firstseen",
		Instance:  host,
		Brokers:   []string{"localhost:9092"},
		SASL:      SASL{Mechanism: "none"},
		Rules:     Rules{Builtin: true},
		Stages:    []string{"ingest", "detect", "group"},
		Lanes:     Lanes{Ingest: min(max(runtime.GOMAXPROCS(0)/2, 1), 4), Detect: 1, Group: 1},
		State:     State{Dir: "firstseen-state", Cache: 64 << 20, MemTable: 16 << 20, MinFree: 512 << 20},
		Learning:  "history",
		Commit:    Commit{Messages: 50_000, Records: 100_000, Bytes: 64 << 20, Every: ms(250), Transaction: sec(40), Session: sec(45), Rebalance: sec(60)},
		HTTP:      HTTP{Listen: "127.0.0.1:9480"},
		Outputs:   []string{"ecs"},
		Validate:  "matching",
		Bounds:    Bounds{MessageBytes: 64 << 20, Records: 500_000, RecordBytes: 1 << 20, Depth: 128, Nesting: 3},
		OnGap:     "stop",
		Stop:      "keep",
		Purge:     sec(3600),
		Close:     sec(15 * 60),
		Partition: 16,
		Replicas:  -1,
	}
}

func ms(n int) Duration  { return Duration(n) * Duration(time.Millisecond) }
func sec(n int) Duration { return ms(1000 * n) }
