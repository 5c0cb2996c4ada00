/**
 * Lines that the formulas of a family share. Lines that a formula does not use cost nothing (dead code
 * elimination).
 */

/** Ranking: `valid` marks the items that are not padding, `both` the pairs of two such items. */
export const MASK_SNIPPET = `
    valid = given(mask) ? mask == 1 : true
    both = valid and valid[items -> others]`

/** Ranking: what a list adds to the denominator of the mean. A list without items counts nothing, as in rax. */
export const COUNT_NONEMPTY_LISTS = 'max(valid ? 1 : 0, items)'

/** Ranking: the same, but a list without a pair to compare counts nothing. `pair` marks the pairs. */
export const COUNT_LISTS_WITH_PAIRS = 'max(max(pair ? 1 : 0, others), items)'

/** Embedding: `z` is each row normalized to length 1. A row of length 0 stays 0, with gradient 0. */
export const L2_NORMALIZED = `
    length = norm(embeddings, dim)
    z = length < 1e-12 ? 0 : embeddings / length`

/**
 * Ranking: the gain 2^y - 1 of each item, without cancellation for small y. All gains of a list may be scaled by
 * one power of two (1 unless the largest label exceeds 64), because 2^128 overflows float32. Whatever the gains are
 * divided by is scaled equally.
 */
export const DCG_GAINS = `
    beyond = relu(max(valid ? targets : 0, items) - 64)
    scaled = 2^(-beyond)
    gain = valid ? (targets < 0.5 ? expm1(targets * 0.6931471805599453) * scaled : 2^(targets - beyond) - scaled) : 0`

/**
 * Ranking: ln(1 + e^-lead) of the pairs, each multiplied by `counted`, summed over the others, with lead = scores -
 * scores[items -> others]. The value is that of `bits`, the slope that of `bits_slope`. The slope of a pair is -h -
 * r, where h is 1, 1/2 or 0 (trailing far, close, leading far) and r is small. The contributions to an item from
 * pairs that it leads and from pairs that it trails nearly cancel. The h are summed separately, where they cancel
 * exactly, so that r keeps its digits.
 */
export const PAIRWISE_LOG_LOSS = `
    close = abs(lead) < 1
    half = counted * (close ? 0.5 : lead < 0 ? 1 : 0)
    tilt = stop_gradient(sum(half, others) - sum(half, items)[others -> items])
    curved = close ? -log1p(-tanh(lead / 2)^2) / 2 : softplus(-abs(lead))
    bits = sum(weigh(counted, softplus(-lead)), others)
    bits_slope = sum(weigh(counted, curved), others) - weigh(tilt, scores)`
