package serve

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
)

// fixPNG sets the checksum of a PNG's header.
func fixPNG(img []byte) []byte {
	binary.BigEndian.PutUint32(img[29:], crc32.ChecksumIEEE(img[12:29]))
	return img
}

// tensors is the body of a request with one input.
func tensors(name, datatype string, shape []int, data any) []byte {
	b, err := json.Marshal(map[string]any{"inputs": []any{map[string]any{"name": name, "datatype": datatype, "shape": shape, "data": data}}})
	if err != nil {
		panic(err)
	}
	return b
}

const inferPath = "/v2/models/model/infer"

func TestInfer(t *testing.T) {
	srv := open(t, pair(t), Options{})
	const a, b = `{"name":"a","datatype":"FP32","shape":[2,2],"data":[1,2,3,4]}`, `{"name":"b","datatype":"FP32","shape":[2,2],"parameters":{"x":1},"data": [ [10, 20],[3e1,4.0E+1] ] }`
	for body, want := range map[string]string{
		`{"inputs":[` + a + `,` + b + `]}`: `{"model_name":"model","model_version":"1","outputs":[` +
			`{"name":"sum","datatype":"FP32","shape":[2,2],"data":[11,22,33,44]},{"name":"product","datatype":"FP32","shape":[2,2],"data":[10,40,90,160]}]}`,
		`{"id":"","parameters":{"p":[1]},"inputs":[` + b + `,` + a + `],"outputs":[{"name":"product"}]}`: `{"model_name":"model","model_version":"1","id":"","parameters":{"p":[1]},"outputs":[` +
			`{"name":"product","datatype":"FP32","shape":[2,2],"data":[10,40,90,160]}]}`,
		`{"id":"x","inputs":[` + a + `,` + b + `],"outputs":[{"name":"product"},{"name":"sum"}]}`: `{"model_name":"model","model_version":"1","id":"x","outputs":[` +
			`{"name":"product","datatype":"FP32","shape":[2,2],"data":[10,40,90,160]},{"name":"sum","datatype":"FP32","shape":[2,2],"data":[11,22,33,44]}]}`,
	} {
		code, answer := ask(t, srv, "POST", inferPath, "application/json", []byte(body))
		var wanted map[string]any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if code != 200 || !reflect.DeepEqual(answer, wanted) {
			t.Errorf("%s: %d %v, want %v", body, code, answer, wanted)
		}
	}
}

func TestWrongTensors(t *testing.T) {
	srv := open(t, pair(t), Options{MaxBatch: 3, MaxBody: 4000})
	const b = `{"name":"b","datatype":"FP32","shape":[2,2],"data":[1,2,3,4]}`
	with := func(shape, data string) string {
		return `{"inputs":[` + b + `,{"name":"a","datatype":"FP32","shape":` + shape + `,"data":` + data + `}]}`
	}
	for name, c := range map[string]struct {
		body string
		code int
		want string
	}{
		"empty":            {"", 400, "empty"},
		"not JSON":         {"{", 400, "not a request"},
		"an array":         {"[1]", 400, "not a request"},
		"deep":             {`{"inputs":` + strings.Repeat("[", 3000), 400, "not a request"},
		"two values":       {with("[2,2]", "[1,2,3,4]") + "{}", 400, "not a request"},
		"too many bytes":   {strings.Repeat(" ", 5000), 413, "at most"},
		"no inputs":        {`{}`, 400, `"a" is missing`},
		"one missing":      {`{"inputs":[` + b + `]}`, 400, `"a" is missing`},
		"unknown":          {`{"inputs":[{"name":"c","datatype":"FP32","shape":[1],"data":[1]}]}`, 400, `no input "c"`},
		"twice":            {`{"inputs":[` + b + `,` + b + `]}`, 400, "twice"},
		"wrong type":       {strings.Replace(with("[2,2]", "[1,2,3,4]"), "FP32", "INT8", 1), 400, `datatype "INT8", want "FP32"`},
		"no type":          {strings.Replace(with("[2,2]", "[1,2,3,4]"), `"datatype":"FP32",`, "", 1), 400, `datatype ""`},
		"no shape":         {with("null", "[1,2,3,4]"), 400, "no shape"},
		"rank":             {with("[4]", "[1,2,3,4]"), 400, "shape [4]"},
		"size":             {with("[2,3]", "[1,2,3,4,5,6]"), 400, "shape [2 3]"},
		"negative":         {with("[-1,2]", "[1,2]"), 400, "size -1"},
		"no rows":          {with("[0,2]", "[]"), 400, "size 0"},
		"huge":             {with("[9223372036854775807,2]", "[1,2]"), 400, "size 9223372036854775807"},
		"overflow":         {with("[2147483647,2]", "[1,2]"), 400, "more elements"},
		"no whole number":  {with("[2.5,2]", "[1,2]"), 400, "not a request"},
		"above max batch":  {with("[4,2]", "[1,2,3,4,5,6,7,8]"), 400, "at most 3"},
		"another batch":    {with("[1,2]", "[1,2]"), 400, "differ in the batch"},
		"too few":          {with("[2,2]", "[1,2,3]"), 400, "an array of 3, want 4"},
		"too many":         {with("[2,2]", "[1,2,3,4,5]"), 400, "more than 4"},
		"nested too few":   {with("[2,2]", "[[1,2],[3]]"), 400, "an array of 1, want 2"},
		"nested too many":  {with("[2,2]", "[[1,2],[3,4],[5,6]]"), 400, "more than 2"},
		"nested otherwise": {with("[2,2]", "[[[1,2],[3,4]]]"), 400, "not a number"},
		"nested in part":   {with("[2,2]", "[[1,2],3,4]"), 400, "nested"},
		"flat in part":     {with("[2,2]", "[1,2,[3,4]]"), 400, "not a number"},
		"NaN":              {with("[2,2]", "[1,2,3,NaN]"), 400, "not a request"},
		"NaN as text":      {with("[2,2]", `[1,2,3,"NaN"]`), 400, "element 3 is not a number"},
		"null":             {with("[2,2]", "[1,2,3,null]"), 400, "not of type FP32"},
		"true":             {with("[2,2]", "[1,2,3,true]"), 400, "not of type FP32"},
		"infinite":         {with("[2,2]", "[1,2,3,1e39]"), 400, "out of the range of FP32"},
		"an object":        {with("[2,2]", `{"0":1}`), 400, "not an array"},
		"a number":         {with("[2,2]", `1`), 400, "more elements"},
		"no data":          {`{"inputs":[` + b + `,{"name":"a","datatype":"FP32","shape":[1,2]}]}`, 400, "more elements"},
		"binary":           {`{"inputs":[{"name":"a","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}}]}`, 400, "binary data"},
		"no such output":   {`{"inputs":[],"outputs":[{"name":"c"}]}`, 400, `no output "c"`},
		"output twice":     {`{"inputs":[],"outputs":[{"name":"sum"},{"name":"sum"}]}`, 400, "twice"},
		"binary output":    {`{"inputs":[],"outputs":[{"name":"sum","parameters":{"binary_data":true}}]}`, 400, "binary data"},
	} {
		t.Run(name, func(t *testing.T) {
			code, answer := ask(t, srv, "POST", inferPath, "application/json", []byte(c.body))
			if code != c.code || !strings.Contains(answer["error"].(string), c.want) {
				t.Errorf("%d %v, want %d %q", code, answer, c.code, c.want)
			}
		})
	}
}

// TestDatatypes sends the ends of the range of every type, which must come back,
// and what is just outside, which must be refused.
func TestDatatypes(t *testing.T) {
	for typ, c := range map[onnx.DataType]struct {
		good string
		bad  []string
	}{
		onnx.Bool:     {"true,false,true", []string{"2", "-1", "0.5", "null"}},
		onnx.Uint8:    {"0,255,7", []string{"256", "-1", "1.0", "true"}},
		onnx.Uint16:   {"0,65535,7", []string{"65536", "-1"}},
		onnx.Uint32:   {"0,4294967295,7", []string{"4294967296", "1e3"}},
		onnx.Uint64:   {"0,18446744073709551615,9007199254740993", []string{"18446744073709551616"}},
		onnx.Int8:     {"-128,127,7", []string{"128", "-129"}},
		onnx.Int16:    {"-32768,32767,7", []string{"32768", "-32769"}},
		onnx.Int32:    {"-2147483648,2147483647,7", []string{"2147483648"}},
		onnx.Int64:    {"-9223372036854775808,9223372036854775807,9007199254740993", []string{"9223372036854775808"}},
		onnx.Float16:  {"65504,-0.5,5.9604645e-08", []string{"65520", "1e39", "true"}},
		onnx.BFloat16: {"3.3895314e+38,-0.5,7", []string{"3.4e38"}},
		onnx.Float32:  {"3.4028235e+38,-0.1,1e-45", []string{"3.5e38"}},
		onnx.Float64:  {"1.7976931348623157e+308,-0.1,5e-324", []string{"1e309"}},
	} {
		t.Run(datatypes[typ], func(t *testing.T) {
			srv := open(t, session(t, onnx.Graph{
				Nodes:   []onnx.Node{{Op: "Identity", Inputs: []string{"x"}, Outputs: []string{"y"}}},
				Inputs:  []onnx.ValueInfo{value("x", typ, 1, 3)},
				Outputs: []onnx.ValueInfo{value("y", typ, 1, 3)},
			}), Options{})
			request := func(data string) []byte {
				return fmt.Appendf(nil, `{"inputs":[{"name":"x","datatype":%q,"shape":[1,3],"data":[%s]}]}`, datatypes[typ], data)
			}
			code, answer := ask(t, srv, "POST", inferPath, "", request(c.good))
			if code != 200 {
				t.Fatalf("%d %v", code, answer)
			}
			in, err := parseData(typ, []int{3}, []byte("["+c.good+"]"))
			if err != nil {
				t.Fatal(err)
			}
			if out, err := appendData(nil, in); err != nil || string(out) != "["+c.good+"]" {
				t.Errorf("%s became %s, %v", c.good, out, err)
			}
			for _, bad := range c.bad {
				if code, answer := ask(t, srv, "POST", inferPath, "", request("0,0,"+bad)); code != 400 || !strings.Contains(answer["error"].(string), "element 2") {
					t.Errorf("%s: %d %v", bad, code, answer)
				}
			}
		})
	}
}

// TestDataDecides checks that what the data makes of a run is the client's error.
func TestDataDecides(t *testing.T) {
	srv := open(t, session(t, onnx.Graph{
		Nodes:        []onnx.Node{{Op: "Gather", Inputs: []string{"table", "i"}, Outputs: []string{"y"}}},
		Initializers: []onnx.Tensor{onnx.NewFloat32("table", []float32{5, 6, 7}, 3)},
		Inputs:       []onnx.ValueInfo{value("i", onnx.Int64, 2)},
		Outputs:      []onnx.ValueInfo{value("y", onnx.Float32, 2)},
	}), Options{})
	if srv.Batches() {
		t.Error("batches of a fixed shape")
	}
	if code, answer := ask(t, srv, "POST", inferPath, "", tensors("i", "INT64", []int{2}, []int{2, 0})); code != 200 {
		t.Errorf("%d %v", code, answer)
	}
	if code, answer := ask(t, srv, "POST", inferPath, "", tensors("i", "INT64", []int{2}, []int{2, 9})); code != 400 {
		t.Errorf("%d %v", code, answer)
	}
}
