package io.github.lossd;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Tensors by name, and options in the metadata: the bodies of requests and responses. */
final class SafeTensors {
  final Map<String, Tensor> tensors = new LinkedHashMap<>();
  Map<String, Object> members = Map.of();

  static byte[] encode(Map<String, Tensor> inputs, Map<String, Object> options) {
    Map<String, Object> header = new LinkedHashMap<>();
    Map<String, Object> metadata = new LinkedHashMap<>();
    options.forEach((name, value) -> metadata.put(name, Json.write(value)));
    if (!metadata.isEmpty()) header.put("__metadata__", metadata);
    Map<String, Tensor> sorted = new TreeMap<>(inputs);
    int offset = 0;
    for (Map.Entry<String, Tensor> input : sorted.entrySet()) {
      Tensor tensor = input.getValue();
      int end = offset + tensor.length() * tensor.dtype().bytes;
      header.put(input.getKey(), entry(tensor, offset, end));
      offset = end;
    }
    byte[] text = Json.write(header).getBytes(StandardCharsets.UTF_8);
    int padded = (text.length + 7) / 8 * 8;
    ByteBuffer body = ByteBuffer.allocate(8 + padded + offset).order(ByteOrder.LITTLE_ENDIAN);
    body.putLong(padded).put(text);
    while (body.position() < 8 + padded) body.put((byte) ' ');
    for (Tensor tensor : sorted.values()) tensor.putInto(body);
    return body.array();
  }

  private static Map<String, Object> entry(Tensor tensor, int start, int end) {
    List<Integer> shape = java.util.Arrays.stream(tensor.sizes()).boxed().toList();
    Map<String, Object> entry = new LinkedHashMap<>();
    entry.put("dtype", tensor.dtype().code);
    entry.put("shape", shape);
    entry.put("data_offsets", List.of(start, end));
    return entry;
  }

  /** Results, which are float32 or float64. */
  static SafeTensors decode(byte[] body) {
    SafeTensors decoded = new SafeTensors();
    int length = Math.toIntExact(ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN).getLong());
    Map<String, Object> header = Json.object(Json.parse(new String(body, 8, length, StandardCharsets.UTF_8)));
    header.forEach(
        (name, value) -> {
          if (name.equals("__metadata__")) decoded.members = Json.object(value);
          else decoded.tensors.put(name, tensor(Json.object(value), body, 8 + length));
        });
    return decoded;
  }

  private static Tensor tensor(Map<String, Object> entry, byte[] body, int start) {
    int[] shape = ints(entry.get("shape"));
    int[] offsets = ints(entry.get("data_offsets"));
    ByteBuffer data = ByteBuffer.wrap(body, start + offsets[0], offsets[1] - offsets[0]);
    return "F64".equals(entry.get("dtype")) ? Tensor.float64From(data, shape) : Tensor.float32From(data, shape);
  }

  private static int[] ints(Object list) {
    return Json.list(list).stream().mapToInt(value -> ((Number) value).intValue()).toArray();
  }

  /** A number of the metadata, which is JSON. */
  Double number(String name) {
    return members.get(name) instanceof String text && Json.parse(text) instanceof Double number ? number : null;
  }
}
