package io.github.lossd;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The sizes of the axes of a kernel, from the shapes of its inputs. */
final class Sizes {
  private final Manifest manifest;
  private final Map<String, Integer> sizes = new HashMap<>();
  private final Map<String, String> from = new HashMap<>();
  private int[] rest = {};
  private String restFrom;

  /**
   * @param tensors in the order of the manifest; null for those that are not given
   * @throws ProblemException if they do not fit
   */
  static Sizes of(Manifest manifest, Tensor[] tensors) {
    Sizes sizes = new Sizes(manifest);
    int last = manifest.inputs.size() - 2;
    for (int place = 0; place < last; place++) {
      if (tensors[place] != null && !manifest.inputs.get(place).isSpread()) {
        sizes.read(manifest.inputs.get(place), tensors[place].sizes());
      }
    }
    sizes.setRest();
    sizes.checkOthers(tensors, last);
    return sizes;
  }

  private Sizes(Manifest manifest) {
    this.manifest = manifest;
  }

  int get(String axis) {
    return sizes.getOrDefault(axis, 1);
  }

  private void read(Manifest.Array input, int[] shape) {
    int width = shape.length - input.axes().size() + 1;
    int at = 0;
    for (String axis : input.axes()) {
      if (axis.equals("...")) {
        readRest(input.name(), Arrays.copyOfRange(shape, at, at + width));
        at += width;
      } else {
        readAxis(input.name(), axis, shape[at++]);
      }
    }
  }

  private void readRest(String input, int[] own) {
    if (restFrom != null && !Arrays.equals(own, rest)) {
      throw mismatch(input, "has shape " + text(own) + ", but " + restFrom + " has " + text(rest) + "; inputs are not broadcast");
    }
    rest = own;
    restFrom = restFrom == null ? input : restFrom;
  }

  private void readAxis(String input, String axis, int size) {
    if (isNumber(axis) && Integer.parseInt(axis) != size) {
      throw mismatch(input, "has " + Numbers.many(size, "elements") + " along an axis that must have " + axis);
    }
    Integer known = sizes.putIfAbsent(axis, size);
    if (known != null && known != size) throw mismatch(input, "has " + along(axis, size) + ", but " + from.get(axis) + " has " + known);
    from.putIfAbsent(axis, input);
  }

  private void setRest() {
    sizes.put("...", Tensor.product(rest));
    sizes.put("...[0]", rest.length > 0 ? rest[0] : 1);
    sizes.put("...[-1]", rest.length > 0 ? rest[rest.length - 1] : 1);
  }

  /** The inputs that give no axis its size. */
  private void checkOthers(Tensor[] tensors, int last) {
    for (int place = 0; place < tensors.length; place++) {
      Manifest.Array input = manifest.inputs.get(place);
      Tensor tensor = tensors[place];
      boolean isCommon = place >= last;
      if (tensor == null || !(isCommon || input.isSpread())) continue;
      int[] wanted = shapeOf(input.axes());
      if (Arrays.equals(wanted, tensor.sizes())) continue;
      throw mismatch(
          input.name(),
          isCommon
              ? "must have shape " + text(wanted) + ", got " + text(tensor.sizes())
              : "requires shape " + text(wanted) + ", the last axis of the others; got " + Numbers.many(tensor.length(), "numbers"));
    }
  }

  int[] shapeOf(List<String> axes) {
    return axes.stream().flatMapToInt(this::sizesOf).toArray();
  }

  private java.util.stream.IntStream sizesOf(String axis) {
    if (axis.equals("...")) return Arrays.stream(rest);
    return java.util.stream.IntStream.of(isNumber(axis) ? Integer.parseInt(axis) : get(axis));
  }

  /** What {@code lossd_prepare} refuses. */
  ProblemException layoutProblem(int status) {
    if (status != 2) return ProblemException.of("too-expensive", "a kernel has at most 2 GiB of memory here; let the service compute it", 422);
    for (Manifest.Array input : manifest.inputs) {
      for (String axis : input.axes()) {
        if (sizes.getOrDefault(axis, 1) == 0) return mismatch(input.name(), "the axis " + axis + " must not be empty");
      }
    }
    return ProblemException.of("shape-mismatch", "an axis must not be empty", 422);
  }

  private static ProblemException mismatch(String input, String detail) {
    return ProblemException.at("shape-mismatch", "/" + input, detail);
  }

  private static boolean isNumber(String axis) {
    return Character.isDigit(axis.charAt(0));
  }

  private static String along(String axis, int size) {
    return axis.endsWith("s") ? Numbers.many(size, axis) : size + " along its axis " + axis;
  }

  private static String text(int[] shape) {
    return Arrays.toString(shape);
  }
}
