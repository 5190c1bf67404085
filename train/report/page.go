package report

import (
	"fmt"
	"text/template"
	"text/template/parse"
)

// Pages are text templates whose every value is escaped, unless it is markup that
// this package made. html/template would tell contexts apart, of which the pages
// have two, text and quoted attributes, that are escaped alike; it makes the command
// 190 kB larger.

// markup is HTML, SVG or the value of an attribute that needs no escaping.
type markup string

// newPage parses a page. Values may stand in text and in quoted attributes; those
// that can come from outside must not be addresses, styles or scripts.
func newPage(name, text string, funcs template.FuncMap) (*template.Template, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"escaped": escaped}).Funcs(funcs).Parse(text)
	if err != nil {
		return nil, err
	}
	for _, part := range t.Templates() {
		escapeActions(part.Root)
	}
	return t, nil
}

// escaped is the last function of every pipeline.
func escaped(v any) string {
	if m, ok := v.(markup); ok {
		return string(m)
	}
	return escape(fmt.Sprint(v))
}

func escape(s string) string { return template.HTMLEscapeString(s) }

// escapeActions appends escaped to the pipelines of a list that write a value.
func escapeActions(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{
					NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{parse.NewIdentifier("escaped").SetPos(n.Pos)},
				})
			}
		case *parse.IfNode:
			escapeActions(n.List)
			escapeActions(n.ElseList)
		case *parse.RangeNode:
			escapeActions(n.List)
			escapeActions(n.ElseList)
		case *parse.WithNode:
			escapeActions(n.List)
			escapeActions(n.ElseList)
		}
	}
}
