package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"

	"firstseen/bench/kafka"
)

func resetCommand(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("reset", flag.ExitOnError)
	var topics kafka.Topics
	topics.Flags(fs)
	bootstrap := fs.String("bootstrap", "127.0.0.1:9092", "broker")
	groups := fs.String("group", "", "groups to delete, comma-separated")
	prefix := fs.String("prefix", "", "delete the topics whose names begin so")
	partitions := fs.Int("partitions", 8, "partitions of the output topic")
	_ = fs.Parse(args) // exits on errors
	adm, err := kafka.Admin(*bootstrap)
	if err != nil {
		return err
	}
	defer adm.Close()
	var gone []string
	if *groups != "" {
		gone = strings.Split(*groups, ",")
	}
	if err := kafka.Forget(ctx, adm, gone, *prefix); err != nil {
		return err
	}
	return kafka.Recreate(ctx, adm, topics.Alerts, int32(*partitions))
}

func checkCommand(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("check", flag.ExitOnError)
	var topics kafka.Topics
	topics.Flags(fs)
	bootstrap := fs.String("bootstrap", "127.0.0.1:9092", "broker")
	expected := fs.String("expected", "expected.json", "expected alerts")
	_ = fs.Parse(args) // exits on errors
	v, err := kafka.Check(ctx, *bootstrap, topics.Alerts, kafka.Offsets{}, *expected)
	if err != nil {
		return err
	}
	b, _ := json.Marshal(v) // numbers
	fmt.Println(string(b))
	return nil
}
