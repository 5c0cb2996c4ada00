package io.github.lossd;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What a kernel says about itself: the section {@code lossd} of its module. */
final class Manifest {
  /** The version of the binary interface that this package understands. */
  static final int ABI = 1;

  record Array(String name, List<String> axes, String dtype) {
    boolean isSpread() {
      return axes.size() == 1 && axes.get(0).equals("...[-1]");
    }
  }

  record Param(String name, Object value) {}

  /** How an input is checked, and what is said about a number that is refused. */
  record Check(boolean integers, String words, String outside, Integer excepted, Map<String, Object> indices) {}

  final String loss;
  final boolean isFloat64;
  final List<String> sizes;
  final List<Array> inputs;
  final List<Array> outputs;
  final List<Param> params;
  final List<String> reductions;
  final List<String> statuses;
  final Set<String> imports;
  final Map<String, Schema> schema = new LinkedHashMap<>();
  final Map<String, Check> checks = new LinkedHashMap<>();
  final List<String> gradients;
  final List<String> hessians;
  final boolean takesWeights;

  private Manifest(Map<String, Object> text) {
    loss = String.valueOf(text.get("loss"));
    isFloat64 = "float64".equals(text.get("precision"));
    sizes = Json.strings(text.get("sizes"));
    inputs = arrays(text.get("inputs"));
    outputs = arrays(text.get("outputs"));
    params =
        Json.list(text.get("params")).stream()
            .map(Json::object)
            .map(own -> new Param(String.valueOf(own.get("name")), own.get("value")))
            .toList();
    reductions = Json.strings(text.get("reductions"));
    statuses = Json.strings(text.get("statuses"));
    imports = Set.copyOf(Json.strings(text.get("imports")));
    Json.object(text.get("schema")).forEach((name, own) -> schema.put(name, new Schema(Json.object(own))));
    Json.list(text.get("checks")).stream().map(Json::object).forEach(own -> checks.put(String.valueOf(own.get("name")), check(own)));
    gradients = Json.strings(text.get("gradients"));
    hessians = Json.strings(text.get("hessians"));
    takesWeights = Boolean.TRUE.equals(text.get("sampleWeight"));
  }

  private static List<Array> arrays(Object list) {
    return Json.list(list).stream()
        .map(Json::object)
        .map(own -> new Array(String.valueOf(own.get("name")), Json.strings(own.get("axes")), String.valueOf(own.get("dtype"))))
        .toList();
  }

  private static Check check(Map<String, Object> own) {
    Integer excepted = own.get("excepted") instanceof Double number ? number.intValue() : null;
    Map<String, Object> indices = own.get("indices") == null ? null : Json.object(own.get("indices"));
    return new Check(Boolean.TRUE.equals(own.get("integers")), (String) own.get("words"), (String) own.get("outside"), excepted, indices);
  }

  /**
   * @throws LossdException.KernelRejected if the module has none
   * @throws LossdException.AbiMismatch if it has another version
   */
  static Manifest of(byte[] module) {
    if (module.length < 8 || module[0] != 0 || module[1] != 'a' || module[2] != 's' || module[3] != 'm') {
      throw new LossdException.KernelRejected("it is not a WebAssembly module");
    }
    Cursor cursor = new Cursor(module, 8);
    while (cursor.at < module.length) {
      int section = module[cursor.at++];
      int size = cursor.number();
      int end = cursor.at + size;
      if (section == 0 && end <= module.length) {
        int length = cursor.number();
        String name = new String(module, cursor.at, length, StandardCharsets.UTF_8);
        int start = cursor.at + length;
        if (name.equals("lossd")) return read(new String(module, start, end - start, StandardCharsets.UTF_8));
      }
      cursor.at = end;
    }
    throw new LossdException.KernelRejected("it has no section lossd");
  }

  private static Manifest read(String text) {
    Map<String, Object> members = Json.object(Json.parse(text));
    checkAbi(members.get("abi") instanceof Double abi ? abi.intValue() : 0);
    return new Manifest(members);
  }

  static void checkAbi(int abi) {
    if (abi == ABI) return;
    String remedy = abi > ABI ? "upgrade io.github.lossd:lossd" : "upgrade the service, or delete the cache";
    throw new LossdException.AbiMismatch("the kernel has ABI " + abi + ", this package understands " + ABI + "; " + remedy);
  }

  /** LEB128. */
  private static final class Cursor {
    private final byte[] bytes;
    private int at;

    private Cursor(byte[] bytes, int at) {
      this.bytes = bytes;
      this.at = at;
    }

    private int number() {
      int value = 0;
      for (int shift = 0; ; shift += 7) {
        byte one = bytes[at++];
        value |= (one & 0x7f) << shift;
        if (one >= 0) return value;
      }
    }
  }
}
