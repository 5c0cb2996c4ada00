/** Lines that the formulas of a family share. A line costs nothing where a formula does not use it. */

/** Ranking: `valid` marks the items that are no padding, `both` the pairs of two such items. */
export const MASK_SNIPPET = `
    valid = given(mask) ? mask == 1 : true
    both = valid and valid[items -> others]`

/** Ranking: what a list adds to the mean's denominator where one without an item counts nothing, as in rax. */
export const COUNT_NONEMPTY_LISTS = 'max(valid ? 1 : 0, items)'

/** Ranking: the same where a list without a pair to compare counts nothing; `pair` marks the pairs. */
export const COUNT_LISTS_WITH_PAIRS = 'max(max(pair ? 1 : 0, others), items)'

/**
 * Boxes: sides, the area of the overlap and of the union, and the sides of the smallest box around both. Boxes that
 * only touch do not overlap. Two boxes without area have IoU 0, also with epsilon 0. Beyond 1e9 all are measured in units of
 * the box around both, whose squares do not overflow; ratios do not change by that.
 */
export const BOX_GEOMETRY = `
    left = pick(predictions, 0, 4)
    top = pick(predictions, 1, 4)
    right = pick(predictions, 2, 4)
    bottom = pick(predictions, 3, 4)
    left_t = pick(targets, 0, 4)
    top_t = pick(targets, 1, 4)
    right_t = pick(targets, 2, 4)
    bottom_t = pick(targets, 3, 4)
    wide = max(right, right_t) - min(left, left_t)
    high = max(bottom, bottom_t) - min(top, top_t)
    unit = max(wide, high) > 1e9 ? stop_gradient(max(wide, high)) : 1
    w = (right - left) / unit
    h = (bottom - top) / unit
    w_t = (right_t - left_t) / unit
    h_t = (bottom_t - top_t) / unit
    w_both = relu(min(right, right_t) - max(left, left_t)) / unit
    h_both = relu(min(bottom, bottom_t) - max(top, top_t)) / unit
    small = epsilon / unit / unit
    overlap = w_both * h_both
    union = w * h + w_t * h_t - overlap
    iou = union == 0 ? 0 : overlap / (union + small)
    w_around = wide / unit
    h_around = high / unit`

/** Embedding: `z` is each row at length 1; a row without length stays at 0, with gradient 0. */
export const L2_NORMALIZED = `
    length = norm(embeddings, dim)
    z = length < 1e-12 ? 0 : embeddings / length`

/**
 * Ranking: the gain 2^y - 1 of each item, without cancelling where y is small. All of a list may be scaled by one power of
 * two, 1 unless its largest label is beyond 64: what gains are divided by shares it, and 2^128 overflows float32.
 */
export const DCG_GAINS = `
    beyond = relu(max(valid ? targets : 0, items) - 64)
    scaled = 2^(-beyond)
    gain = valid ? (targets < 0.5 ? expm1(targets * 0.6931471805599453) * scaled : 2^(targets - beyond) - scaled) : 0`

/**
 * Ranking: ln(1 + e^-lead) of the pairs, times `counted` each and summed over the others, with lead = scores -
 * scores[items -> others]: its value is \`bits\`, its slope
 * that of \`bits_slope\`. The slope of a pair is -h - r with h = 1, 1/2 or 0 (trailing far, close, leading far) and a small
 * r. What an item gets from pairs that it leads and from those that it trails nearly cancels; h is summed by itself, where
 * it cancels exactly, and r keeps its digits.
 */
export const PAIRWISE_LOG_LOSS = `
    close = abs(lead) < 1
    half = counted * (close ? 0.5 : lead < 0 ? 1 : 0)
    tilt = stop_gradient(sum(half, others) - sum(half, items)[others -> items])
    curved = close ? -log1p(-tanh(lead / 2)^2) / 2 : softplus(-abs(lead))
    bits = sum(weigh(counted, softplus(-lead)), others)
    bits_slope = sum(weigh(counted, curved), others) - weigh(tilt, scores)`
