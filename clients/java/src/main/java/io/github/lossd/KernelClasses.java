package io.github.lossd;

import com.dylibso.chicory.compiler.InterpreterFallback;
import com.dylibso.chicory.compiler.internal.ByteClassCollector;
import com.dylibso.chicory.compiler.internal.ClassCollector;
import com.dylibso.chicory.compiler.internal.Compiler;
import com.dylibso.chicory.runtime.Instance;
import com.dylibso.chicory.runtime.Machine;
import com.dylibso.chicory.wasm.ChicoryException;
import com.dylibso.chicory.wasm.WasmModule;
import java.lang.reflect.Constructor;
import java.util.HashMap;
import java.util.Map;
import org.objectweb.asm.ClassReader;
import org.objectweb.asm.ClassVisitor;
import org.objectweb.asm.ClassWriter;
import org.objectweb.asm.MethodVisitor;
import org.objectweb.asm.Opcodes;

/**
 * The functions of a module as methods of classes of its own.
 *
 * <p>Chicory looks in each round of a loop whether the thread is interrupted. A kernel takes milliseconds at most, and HotSpot does
 * not optimize loops that look, so this is taken out.
 */
final class KernelClasses extends ClassLoader {
  private static final String NAME = "io.github.lossd.compiled.Kernel";

  private final Map<String, byte[]> classes = new HashMap<>();
  private final Constructor<? extends Machine> constructor;

  /** @throws ChicoryException if the module has a function that is too long for the Java virtual machine */
  KernelClasses(WasmModule module) {
    super(KernelClasses.class.getClassLoader());
    ClassCollector compiled = compiled(module);
    compiled.classBytes().forEach((name, bytes) -> classes.put(name.replace('/', '.'), name.endsWith("Shaded") ? uninterrupted(bytes) : bytes));
    try {
      constructor = loadClass(compiled.mainClassName().replace('/', '.')).asSubclass(Machine.class).getConstructor(Instance.class);
    } catch (ReflectiveOperationException error) {
      throw new IllegalStateException(error);
    }
  }

  /** Functions that are too long would otherwise be interpreted, at a hundredth of the speed. */
  private static ClassCollector compiled(WasmModule module) {
    return Compiler.builder(module)
        .withClassName(NAME)
        .withInterpreterFallback(InterpreterFallback.FAIL)
        .withClassCollectorFactory(ByteClassCollector::new)
        .build()
        .compile()
        .collector();
  }

  Machine machine(Instance instance) {
    try {
      return constructor.newInstance(instance);
    } catch (ReflectiveOperationException error) {
      throw new IllegalStateException(error);
    }
  }

  @Override
  protected Class<?> findClass(String name) throws ClassNotFoundException {
    byte[] bytes = classes.remove(name);
    if (bytes == null) throw new ClassNotFoundException(name);
    return defineClass(name, bytes, 0, bytes.length);
  }

  private static byte[] uninterrupted(byte[] helpers) {
    ClassWriter writer = new ClassWriter(0);
    new ClassReader(helpers).accept(new WithoutInterruption(writer), 0);
    return writer.toByteArray();
  }

  private static final class WithoutInterruption extends ClassVisitor {
    private WithoutInterruption(ClassVisitor next) {
      super(Opcodes.ASM9, next);
    }

    @Override
    public MethodVisitor visitMethod(int access, String name, String descriptor, String signature, String[] exceptions) {
      MethodVisitor made = super.visitMethod(access, name, descriptor, signature, exceptions);
      if (!name.equals("checkInterruption")) return made;
      made.visitCode();
      made.visitInsn(Opcodes.RETURN);
      made.visitMaxs(0, 0);
      made.visitEnd();
      return null;
    }
  }
}
