package io.github.lossd;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Assumptions;

/** The vectors that all clients share, and the service that the tests run against. */
final class Vectors {
  private static final Path CACHE = temporary();

  private Vectors() {}

  static Path temporary() {
    try {
      return Files.createTempDirectory("lossd");
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  static Client service() {
    return service(CACHE);
  }

  static Client service(Path cache) {
    Assumptions.assumeTrue(System.getenv("LOSSD_URL") != null, "there is no service at $LOSSD_URL: npm run test:clients -- java starts one");
    return Client.builder().cache(cache).build();
  }

  static List<Map<String, Object>> read(String name) {
    try {
      String text = Files.readString(Path.of("..", "conformance", name + ".json"));
      return Json.list(Json.parse(text)).stream().map(Json::object).toList();
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  static Map<String, Tensor> inputs(Map<String, Object> vector) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    Json.object(vector.get("tensors"))
        .forEach(
            (name, value) -> {
              Map<String, Object> own = Json.object(value);
              int[] shape = Json.list(own.get("shape")).stream().mapToInt(size -> ((Number) size).intValue()).toArray();
              inputs.put(name, tensor(String.valueOf(own.get("dtype")), own.get("data"), shape));
            });
    return inputs;
  }

  static Tensor tensor(String dtype, Object base64, int... shape) {
    ByteBuffer bytes = ByteBuffer.wrap(Base64.getDecoder().decode((String) base64)).order(ByteOrder.LITTLE_ENDIAN);
    int size = dtype.equals("float64") ? 8 : 4;
    int[] own = shape == null ? new int[] {bytes.limit() / size} : shape;
    if (dtype.equals("float64")) return Tensor.float64From(bytes, own);
    if (dtype.equals("float32")) return Tensor.float32From(bytes, own);
    int[] data = new int[bytes.limit() / 4];
    bytes.asIntBuffer().get(data);
    return Tensor.shaped(data, own);
  }

  static double[] numbers(Tensor tensor) {
    double[] numbers = new double[tensor.length()];
    for (int i = 0; i < numbers.length; i++) numbers[i] = tensor.at(i);
    return numbers;
  }

  static Loss.Builder loss(Map<String, Object> vector) {
    Loss.Builder builder = Loss.named((String) vector.get("loss"));
    Json.object(vector.get("params")).forEach(builder::param);
    if (vector.get("reduction") instanceof String reduction) builder.reduction(reduction);
    if (vector.get("denominator") instanceof Double denominator) builder.denominator(denominator);
    return builder;
  }
}
