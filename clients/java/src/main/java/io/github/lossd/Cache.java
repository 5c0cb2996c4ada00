package io.github.lossd;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;

/** Kernels on disk, by the hash of their content, and by the question that they answer. */
final class Cache {
  private static final System.Logger LOG = System.getLogger("lossd");
  private final Path folder;

  Cache(Path folder) {
    this.folder = folder;
  }

  static Path defaultFolder() {
    String own = Client.Builder.fromEnvironment("LOSSD_CACHE", null);
    if (own != null) return Path.of(own);
    String base = Client.Builder.fromEnvironment("XDG_CACHE_HOME", null);
    return (base != null ? Path.of(base) : Path.of(System.getProperty("user.home"), ".cache")).resolve("lossd");
  }

  /**
   * @throws LossdException.KernelRejected if its bytes have changed
   */
  Optional<byte[]> read(String question) {
    try {
      Map<String, Object> entry = Json.object(Json.parse(Files.readString(indexOf(question))));
      String sha = String.valueOf(entry.get("sha256"));
      byte[] module = Files.readAllBytes(moduleOf(sha));
      verify(module, sha);
      return Optional.of(module);
    } catch (NoSuchFileException absent) {
      return Optional.empty();
    } catch (IOException | IllegalArgumentException error) {
      LOG.log(System.Logger.Level.WARNING, "lossd: a kernel in {0} cannot be read: {1}", folder, error.getMessage());
      return Optional.empty();
    }
  }

  void keep(String question, byte[] module) {
    try {
      String sha = hash(module);
      replace(moduleOf(sha), module);
      String entry = Json.write(Map.of("question", question, "sha256", sha));
      replace(indexOf(question), entry.getBytes(StandardCharsets.UTF_8));
    } catch (IOException error) {
      LOG.log(System.Logger.Level.WARNING, "lossd: kernels are not kept in {0}: {1}", folder, error.getMessage());
    }
  }

  private Path moduleOf(String sha) {
    return folder.resolve("kernels").resolve(sha + ".wasm");
  }

  private Path indexOf(String question) {
    return folder.resolve("index").resolve(hash(question.getBytes(StandardCharsets.UTF_8)) + ".json");
  }

  /** At once, so that another process never reads half of it. */
  private static void replace(Path path, byte[] content) throws IOException {
    Files.createDirectories(path.getParent());
    Path draft = Files.createTempFile(path.getParent(), "draft", null);
    Files.write(draft, content);
    Files.move(draft, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  static void verify(byte[] module, String sha) {
    String found = hash(module);
    if (!found.equals(sha)) throw new LossdException.KernelRejected("the kernel has the hash " + found + ", expected " + sha);
  }

  static String hash(byte[] content) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    } catch (NoSuchAlgorithmException error) {
      throw new AssertionError("every Java has SHA-256", error);
    }
  }
}
