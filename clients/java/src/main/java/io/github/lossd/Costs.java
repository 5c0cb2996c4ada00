package io.github.lossd;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What calls took, to choose the faster place for the next. */
final class Costs {
  /** A place is tried this often before it is compared; the first time does not count. */
  private static final int TRIALS = 3;
  /** The least that a response takes, as long as there was none. */
  private static final long FLOOR = 300_000;

  private static final int MOST = 16;
  /** After so many calls of the service, and whenever they have doubled, this process is tried again: its compiler goes on. */
  private static final int PATIENCE = 16;

  /** After a service could not be reached, it is not asked for this long. */
  private static final long PAUSE = 30_000_000_000L;

  private final Map<String, List<Long>> local = new HashMap<>();
  private final Map<String, List<Long>> remote = new HashMap<>();
  private final java.util.Set<String> withoutKernel = new java.util.HashSet<>();
  private final Map<String, Integer> elsewhere = new HashMap<>();
  private long leastRemote = Long.MAX_VALUE;
  private long unreachableSince = Long.MIN_VALUE;

  /** Whether the next call of this kind is computed in this process. */
  synchronized boolean isLocal(String key) {
    if (withoutKernel.contains(key)) return false;
    List<Long> here = local.getOrDefault(key, List.of());
    List<Long> there = remote.getOrDefault(key, List.of());
    if (here.size() < TRIALS || isUnreachable()) return true;
    long best = least(here);
    // Nothing is faster than the fastest answer of the service so far.
    if (best <= (leastRemote == Long.MAX_VALUE ? FLOOR : leastRemote)) return true;
    if (there.size() < TRIALS) return false;
    return best <= least(there) || isTriedAgain(key);
  }

  private boolean isTriedAgain(String key) {
    int calls = elsewhere.merge(key, 1, Integer::sum);
    return calls >= PATIENCE && Integer.bitCount(calls) == 1;
  }

  private boolean isUnreachable() {
    return unreachableSince != Long.MIN_VALUE && System.nanoTime() - unreachableSince < PAUSE;
  }

  private static long least(List<Long> times) {
    return Collections.min(times.subList(1, times.size()));
  }

  synchronized void learn(String key, boolean isLocal, long nanoseconds) {
    if (!isLocal) leastRemote = Math.min(leastRemote, nanoseconds);
    List<Long> times = (isLocal ? local : remote).computeIfAbsent(key, own -> new ArrayList<>());
    times.add(nanoseconds);
    if (times.size() > MOST) times.remove(1);
  }

  synchronized void hasNoKernel(String key) {
    withoutKernel.add(key);
  }

  synchronized void isGone() {
    unreachableSince = System.nanoTime();
  }
}
