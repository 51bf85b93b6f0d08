// Answers what an API server says of requests under audit policies; the answers in recorded.jsonl are from it.
//
// Reads lines {"policy": text, "requests": [...]}, writes lines {"answers": [...]} or {"error": text}. To record anew:
//
//	go mod init recorder && go get k8s.io/apiserver@v0.36.3 && go run . < questions > answers
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"sort"

	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

type request struct {
	User        string   `json:"user"`
	Groups      []string `json:"groups"`
	Verb        string   `json:"verb"`
	Group       string   `json:"group"`
	Resource    string   `json:"resource"`
	Subresource string   `json:"subresource"`
	Namespace   string   `json:"namespace"`
	Name        string   `json:"name"`
	Path        string   `json:"path"`
}
type input struct {
	Policy   string    `json:"policy"`
	Requests []request `json:"requests"`
}
type answer struct {
	Level  string   `json:"level"`
	Omit   []string `json:"omit"`
}
type output struct {
	Error   string   `json:"error,omitempty"`
	Answers []answer `json:"answers,omitempty"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<28)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var i input
		if err := json.Unmarshal(in.Bytes(), &i); err != nil {
			panic(err)
		}
		var o output
		p, err := policy.LoadPolicyFromBytes([]byte(i.Policy))
		if err != nil {
			o.Error = err.Error()
			out.Encode(o)
			continue
		}
		e := policy.NewPolicyRuleEvaluator(p)
		for _, r := range i.Requests {
			a := authorizer.AttributesRecord{Verb: r.Verb, APIGroup: r.Group, Resource: r.Resource, Subresource: r.Subresource,
				Namespace: r.Namespace, Name: r.Name, Path: r.Path, ResourceRequest: r.Resource != ""}
			if r.User != "" {
				a.User = &user.DefaultInfo{Name: r.User, Groups: r.Groups}
			}
			c := e.EvaluatePolicyRule(&a)
			omit := []string{}
			for _, s := range c.OmitStages {
				omit = append(omit, string(s))
			}
			sort.Strings(omit)
			o.Answers = append(o.Answers, answer{string(c.Level), omit})
		}
		out.Encode(o)
	}
}
