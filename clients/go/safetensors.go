package lossd

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

var codes = map[string]string{"float32": "F32", "float64": "F64", "int32": "I32", "int64": "I64"}

type entry struct {
	Dtype   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

// encode writes tensors by name, and options as JSON in the metadata.
func encode(inputs Inputs, options map[string]any) ([]byte, error) {
	header := map[string]any{}
	metadata := map[string]string{}
	for name, value := range options {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		metadata[name] = string(text)
	}
	if len(metadata) > 0 {
		header["__metadata__"] = metadata
	}
	names := slices.Sorted(maps.Keys(inputs))
	offset := 0
	for _, name := range names {
		tensor := inputs[name]
		end := offset + len(tensor.bytes())
		header[name] = entry{codes[tensor.dtype()], append([]int{}, tensor.Shape...), [2]int{offset, end}}
		offset = end
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	body := make([]byte, 8, 8+len(text)+offset)
	binary.LittleEndian.PutUint64(body, uint64(len(text)))
	body = append(body, text...)
	for _, name := range names {
		body = append(body, inputs[name].bytes()...)
	}
	return body, nil
}

// decode reads results, which are float32 or float64.
func decode(body []byte) (map[string]Tensor, map[string]string, error) {
	if len(body) < 8 {
		return nil, nil, fmt.Errorf("the response has %d bytes", len(body))
	}
	length := int(binary.LittleEndian.Uint64(body))
	var header map[string]json.RawMessage
	if err := json.Unmarshal(body[8:8+length], &header); err != nil {
		return nil, nil, err
	}
	var metadata map[string]string
	tensors := map[string]Tensor{}
	for name, text := range header {
		if name == "__metadata__" {
			if err := json.Unmarshal(text, &metadata); err != nil {
				return nil, nil, err
			}
			continue
		}
		var info entry
		if err := json.Unmarshal(text, &info); err != nil {
			return nil, nil, err
		}
		data := body[8+length:][info.Offsets[0]:info.Offsets[1]]
		tensors[name] = Tensor{Shape: info.Shape}.with(info.Dtype, data)
	}
	return tensors, metadata, nil
}

func (t Tensor) with(code string, data []byte) Tensor {
	if code == "F64" {
		t.F64 = make([]float64, len(data)/8)
		copy(bytesOf(t.F64), data)
		return t
	}
	t.F32 = make([]float32, len(data)/4)
	copy(bytesOf(t.F32), data)
	return t
}
