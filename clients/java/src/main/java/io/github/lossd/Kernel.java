package io.github.lossd;

import com.dylibso.chicory.runtime.ExportFunction;
import com.dylibso.chicory.runtime.HostFunction;
import com.dylibso.chicory.runtime.ImportFunction;
import com.dylibso.chicory.runtime.ImportValues;
import com.dylibso.chicory.runtime.Instance;
import com.dylibso.chicory.wasm.ChicoryException;
import com.dylibso.chicory.wasm.Parser;
import com.dylibso.chicory.wasm.WasmModule;
import com.dylibso.chicory.wasm.types.FunctionType;
import com.dylibso.chicory.wasm.types.ValType;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.function.DoubleUnaryOperator;

/** A compiled module, with instances for as many threads as call it at once. */
final class Kernel {
  final Manifest manifest;
  private final WasmModule module;
  private final KernelClasses classes;
  private final ConcurrentLinkedDeque<Host> idle = new ConcurrentLinkedDeque<>();

  Kernel(byte[] bytes) {
    manifest = Manifest.of(bytes);
    module = Parser.parse(bytes);
    classes = compiled();
  }

  private KernelClasses compiled() {
    try {
      return new KernelClasses(module);
    } catch (ChicoryException error) {
      throw ProblemException.of("kernel-unavailable", manifest.loss + " cannot be compiled for Java: " + error.getMessage(), 422);
    }
  }

  /** What a run leaves beside its arrays. */
  record Output(double value, double denominator, int count, Map<String, Tensor> arrays) {}

  /**
   * Computes.
   *
   * @param tensors in the order of the manifest; null for those that are not given
   * @param wanted names of outputs that are copied
   */
  Output run(Tensor[] tensors, int reduction, double[] numbers, List<String> wanted) {
    Host host = idle.pollFirst();
    if (host == null) host = new Host();
    try {
      return host.run(tensors, reduction, numbers, wanted);
    } finally {
      idle.addFirst(host);
    }
  }

  /** One instance. It belongs to one thread at a time. */
  private final class Host {
    private final FlatMemory memory;
    private final ExportFunction run;
    private final ExportFunction prepare;
    private final ExportFunction input;
    private final ExportFunction output;
    private final int sizesAt;
    private final int paramsAt;
    private final int resultAt;
    // For the shapes of the last call
    private int[][] shapes;
    private Sizes sizes;
    private int[] inputs;

    private Host() {
      Instance instance = Instance.builder(module).withMachineFactory(classes::machine).withMemoryFactory(FlatMemory::new).withImportValues(imports()).build();
      memory = (FlatMemory) instance.memory();
      run = instance.export("lossd_run");
      prepare = instance.export("lossd_prepare");
      input = instance.export("lossd_input");
      output = instance.export("lossd_output");
      sizesAt = addressOf(instance, "lossd_sizes");
      paramsAt = addressOf(instance, "lossd_params");
      resultAt = addressOf(instance, "lossd_result");
    }

    private int addressOf(Instance instance, String name) {
      return (int) instance.export(name).apply()[0];
    }

    private Output run(Tensor[] tensors, int reduction, double[] numbers, List<String> wanted) {
      if (!isFor(tensors)) layOut(tensors);
      for (int place = 0; place < tensors.length; place++) {
        if (tensors[place] != null) write(place, tensors[place]);
      }
      for (int place = 0; place < numbers.length; place++) memory.writeF64(paramsAt + 8 * place, numbers[place]);
      double value = Double.longBitsToDouble(run.apply(reduction)[0]);
      int status = memory.readInt(resultAt + 24);
      if (status != 0) throw new Faults(manifest, tensors).of(status, memory.readInt(resultAt + 28), memory.readInt(resultAt + 32));
      Map<String, Tensor> arrays = new java.util.HashMap<>();
      for (String name : wanted) arrays.put(name, array(name));
      return new Output(value, memory.readDouble(resultAt + 8), (int) memory.readDouble(resultAt + 16), arrays);
    }

    private boolean isFor(Tensor[] tensors) {
      if (shapes == null) return false;
      for (int place = 0; place < tensors.length; place++) {
        if (!Arrays.equals(shapes[place], tensors[place] == null ? null : tensors[place].sizes())) return false;
      }
      return true;
    }

    private void layOut(Tensor[] tensors) {
      shapes = null;
      sizes = Sizes.of(manifest, tensors);
      for (int place = 0; place < manifest.sizes.size(); place++) {
        memory.writeI32(sizesAt + 4 * place, sizes.get(manifest.sizes.get(place)));
      }
      int last = tensors.length - 2;
      int given = (tensors[last] == null ? 0 : 1) + (tensors[last + 1] == null ? 0 : 2);
      int status = (int) prepare.apply(given)[0];
      if (status != 0) throw sizes.layoutProblem(status);
      inputs = new int[tensors.length];
      for (int place = 0; place < tensors.length; place++) inputs[place] = (int) input.apply(place)[0];
      shapes = Arrays.stream(tensors).map(tensor -> tensor == null ? null : tensor.sizes()).toArray(int[][]::new);
    }

    private void write(int place, Tensor tensor) {
      Manifest.Array info = manifest.inputs.get(place);
      boolean isAsStored = tensor.dtype().word.equals(info.dtype());
      ByteBuffer bytes = memory.part(inputs[place], tensor.length() * (info.dtype().equals("float64") ? 8 : 4));
      if (isAsStored) tensor.putInto(bytes);
      else for (int element = 0; element < tensor.length(); element++) put(bytes, info, tensor, element);
    }

    private void put(ByteBuffer bytes, Manifest.Array info, Tensor tensor, int element) {
      double value = tensor.at(element);
      switch (info.dtype()) {
        case "float64" -> bytes.putDouble(value);
        case "float32" -> bytes.putFloat((float) value);
        default -> {
          if (value != (int) value) {
            String detail = "element " + element + " must be an integer from " + Integer.MIN_VALUE + " to " + Integer.MAX_VALUE + ", got " + tensor.text(element);
            throw ProblemException.at("invalid-value", "/" + info.name(), detail);
          }
          bytes.putInt((int) value);
        }
      }
    }

    /** A copy of a result. */
    private Tensor array(String name) {
      for (int place = 0; place < manifest.outputs.size(); place++) {
        Manifest.Array info = manifest.outputs.get(place);
        if (!info.name().equals(name)) continue;
        int[] shape = sizes.shapeOf(info.axes());
        int bytes = Tensor.product(shape) * (manifest.isFloat64 ? 8 : 4);
        ByteBuffer read = memory.part((int) output.apply(place)[0], bytes);
        return manifest.isFloat64 ? Tensor.float64From(read, shape) : Tensor.float32From(read, shape);
      }
      throw new IllegalArgumentException("the kernel has no output " + name);
    }
  }

  private ImportValues imports() {
    ImportFunction[] functions =
        manifest.imports.isEmpty() ? new ImportFunction[] {} : new ImportFunction[] {host("sin", Math::sin), host("cos", Math::cos)};
    return ImportValues.builder().addFunction(functions).build();
  }

  private static ImportFunction host(String name, DoubleUnaryOperator function) {
    FunctionType type = FunctionType.of(List.of(ValType.F64), List.of(ValType.F64));
    return new HostFunction(
        "env", name, type, (instance, args) -> new long[] {Double.doubleToRawLongBits(function.applyAsDouble(Double.longBitsToDouble(args[0])))});
  }
}
