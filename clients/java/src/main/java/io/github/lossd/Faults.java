package io.github.lossd;

/** What a kernel refuses, in the words of the service. */
final class Faults {
  private final Manifest manifest;
  private final Tensor[] tensors;

  Faults(Manifest manifest, Tensor[] tensors) {
    this.manifest = manifest;
    this.tensors = tensors;
  }

  /**
   * @param place the input that is wrong
   * @param element its first wrong element
   */
  ProblemException of(int status, int place, int element) {
    String code = manifest.statuses.get(status);
    if (code.equals("empty-batch")) {
      return ProblemException.of(code, "the mean over an empty batch is undefined; use sum or none, or send a denominator", 422);
    }
    String name = manifest.inputs.get(place).name();
    Tensor tensor = tensors[place];
    Manifest.Check rule = manifest.checks.get(name);
    String pointer = pointer(name, tensor.sizes(), element);
    String got = ", got " + tensor.text(element);
    String hint = rule == null || rule.outside() == null ? "" : "; " + rule.outside();
    return switch (code) {
      case "box-corners" -> ProblemException.at("invalid-value", pointer, corners(tensor, element));
      case "excepted-label" -> ProblemException.at("label-out-of-range", pointer, "must not be the blank, " + rule.excepted());
      case "invalid-value" -> ProblemException.at(code, pointer, rule.words() + got + hint);
      default -> ProblemException.at(code, pointer, "must be an integer from " + rangeOf(rule) + got + hint);
    };
  }

  private static String corners(Tensor tensor, int element) {
    String axis = element % 4 == 2 ? "x" : "y";
    return axis + "2 must be >= " + axis + "1, got " + tensor.text(element) + " after " + tensor.text(element - 2);
  }

  private String rangeOf(Manifest.Check rule) {
    if (rule == null || rule.indices() == null) return Integer.MIN_VALUE + " to " + Integer.MAX_VALUE;
    long most = Integer.MAX_VALUE;
    if (rule.indices().get("axis") instanceof String axis) {
      most = Sizes.of(manifest, tensors).get(axis) + ((Number) rule.indices().get("offset")).longValue() - 1;
    }
    String ignored = rule.indices().get("ignored") instanceof Double own ? " (or " + own.intValue() + ", which is ignored)" : "";
    return "0 to " + most + ignored;
  }

  static String pointer(String name, int[] shape, int element) {
    StringBuilder pointer = new StringBuilder();
    int rest = element;
    for (int axis = shape.length - 1; axis >= 0; axis--) {
      pointer.insert(0, "/" + rest % shape[axis]);
      rest /= shape[axis];
    }
    return "/" + name + pointer;
  }
}
