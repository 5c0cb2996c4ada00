/** What the service answers to each loss's examples, in their order: written by `npm run docs`, held to it by tests. */
export const EXAMPLE_ANSWERS: Readonly<Record<string, readonly string[]>> = {
  compose: [
    '{"loss":0.3471521,"gradients":{"logits":[[[-0.04647048,0.0874936,-0.13169652,0.016511321]]],"mask":[[[-0.5,0.25,-0.125,0.75]]]},"terms":[{"loss":"binary_cross_entropy_with_logits","weight":1,"value":0.2407135,"denominator":4,"count":4,"finite":true},{"loss":"dice","weight":0.5,"value":0.21287723,"denominator":1,"count":1,"finite":true}],"finite":true}',
  ],
  asymmetric: [
    '{"loss":[[0.3465736,0.024515053,0]],"gradients":{"predictions":[[-0.4232868,0.0731171,0]]},"denominator":1,"count":3,"finite":true}',
  ],
  binary_cross_entropy: [
    '{"loss":[0.6931472,0.2876821,0],"gradients":{"predictions":[-2,1.3333334,-1],"targets":[0,1.0986123,-100]},"denominator":1,"count":3,"finite":true}',
  ],
  binary_cross_entropy_with_logits: [
    '{"loss":[0.6931472,2.126928],"gradients":{"predictions":[-0.5,0.8807971],"targets":[0,-2]},"denominator":1,"count":2,"finite":true}',
  ],
  binary_focal: [
    '{"loss":[0.1732868,0.1732868],"gradients":{"predictions":[-1.1931472,1.1931472]},"denominator":1,"count":2,"finite":true}',
  ],
  ordinal: [
    '{"loss":[1.3862944,0.98082924],"gradients":{"predictions":[[-0.5,0.5],[-0.25,-0.5]]},"denominator":1,"count":2,"finite":true}',
  ],
  sigmoid_focal: [
    '{"loss":[0.0433217,0.1299651],"gradients":{"predictions":[-0.0745717,0.2237151],"targets":[-0.0866434,-0.0866434]},"denominator":1,"count":2,"finite":true}',
  ],
  ciou: [
    '{"loss":[0.76291835],"gradients":{"predictions":[[0.16825609,-0.004914956,0.16334113,-0.32668227]],"targets":[[-0.004914956,0.16825609,-0.32668227,0.16334113]]},"denominator":1,"count":1,"finite":true}',
  ],
  diou: [
    '{"loss":[1.4],"gradients":{"predictions":[[0.04,0.04,-0.2,-0.04]],"targets":[[0.2,0.04,-0.04,-0.04]]},"denominator":1,"count":1,"finite":true}',
  ],
  distribution_focal: [
    '{"loss":[1.5171064],"gradients":{"predictions":[[0.16666667,0.16666667,-0.5833333,0.25]]},"denominator":1,"count":1,"finite":true}',
  ],
  giou: [
    '{"loss":[1.3333334],"gradients":{"predictions":[[0.11111111,0,-0.33333334,0]],"targets":[[0.33333334,0,-0.11111111,0]]},"denominator":1,"count":1,"finite":true}',
  ],
  iou: [
    '{"loss":[0.8],"gradients":{"predictions":[[-0.04,0.08,-0.2,-0.08]],"targets":[[0.16,-0.04,0.08,0.04]]},"denominator":1,"count":1,"finite":true}',
  ],
  varifocal: [
    '{"loss":[0.3465736,0.1299651],"gradients":{"predictions":[0,0.2237151]},"denominator":1,"count":2,"finite":true}',
  ],
  distillation_kl: [
    '{"loss":[0.52324814],"gradients":{"student":[[0.5,-0.5]]},"denominator":1,"count":1,"finite":true}',
  ],
  generalized_kl_div: [
    '{"loss":[1.3068528],"gradients":{"predictions":[[1,1,0]]},"denominator":1,"count":1,"finite":true}',
  ],
  js_div: [
    '{"loss":[0.6931472,0],"gradients":{"predictions":[[0,-43.444397],[0,0]],"targets":[[-43.444397,0],[0,0]]},"denominator":1,"count":2,"finite":true}',
  ],
  kl_div: [
    '{"loss":[0.6931472,0],"gradients":{"predictions":[-1,-0]},"denominator":1,"count":2,"finite":true}',
  ],
  circle: [
    '{"loss":[1.7014133,0.974077,0],"gradients":{"embeddings":[[0,-0.7200169],[-0.9244105,0],[0,0.31122968]]},"denominator":1,"count":2,"finite":true}',
  ],
  contrastive: [
    '{"loss":[25,1],"gradients":{"input1":[[6,8],[-1.2,-1.6]],"input2":[[-6,-8],[1.2,1.6]]},"denominator":1,"count":2,"finite":true}',
  ],
  cosine_embedding: [
    '{"loss":[0.04,0.96],"gradients":{"input1":[[-0.0448,0.0336],[0.0448,-0.0336]],"input2":[[0.0336,-0.0448],[-0.0336,0.0448]]},"denominator":1,"count":2,"finite":true}',
  ],
  cosine_similarity: [
    '{"loss":[0.04],"gradients":{"predictions":[[-0.0448,0.0336]],"targets":[[0.0336,-0.0448]]},"denominator":1,"count":1,"finite":true}',
  ],
  hinge_embedding: [
    '{"loss":[0.25,0.75,0],"gradients":{"predictions":[1,-1,0]},"denominator":1,"count":3,"finite":true}',
  ],
  info_nce: [
    '{"loss":[1.609438],"gradients":{"query":[[0.6591674,-3.2]],"positive":[[-0.8,-0]],"negatives":[[[0.2,0],[0.6,0]]]},"denominator":1,"count":1,"finite":true}',
  ],
  margin_softmax: [
    '{"loss":[0.3132617],"gradients":{"embeddings":[[0,0.26894143]],"weight":[[0,0],[0.53788286,0]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[3.0485873],"gradients":{"embeddings":[[-0.8249534,0]],"weight":[[0,-0.54996896],[0,0]]},"denominator":1,"count":1,"finite":true}',
  ],
  multi_similarity: [
    '{"loss":[0.3132617,0.3132617,0.27572235],"gradients":{"embeddings":[[0,0.48088297],[0,0.48088297],[0.96176594,0]]},"denominator":1,"count":3,"finite":true}',
  ],
  multiple_negatives_ranking: [
    '{"loss":[0.6931472,0.6931472],"gradients":{"anchor":[[0,0],[0,0]],"positive":[[0,0.25],[0,-0.16666667]]},"denominator":1,"count":2,"finite":true}',
    '{"loss":[0.5032044,1.0032045],"gradients":{"anchor":[[0,0],[-0.23105858,0]],"positive":[[0,0.19223535],[0,-0.20517643]]},"denominator":1,"count":2,"finite":true}',
  ],
  nt_xent: [
    '{"loss":0.3132617,"gradients":{"embeddings":[[0,0.13447072],[0,0.13447072],[0.26894143,0]]},"denominator":2,"count":2,"finite":true}',
  ],
  supcon: [
    '{"loss":[0.3132617,0.3132617,0],"gradients":{"embeddings":[[0,0.26894143],[0,0.26894143],[0.53788286,0]]},"denominator":1,"count":2,"finite":true}',
  ],
  triplet_batch: [
    '{"loss":[1,0,4,0],"gradients":{"embeddings":[[6],[2],[-12],[4]]},"denominator":1,"count":4,"finite":true}',
    '{"loss":[1,4,7,0],"gradients":{"embeddings":[[0],[8],[-12],[4]]},"denominator":1,"count":4,"finite":true}',
    '{"loss":[1,4,11,0],"gradients":{"embeddings":[[4],[8],[-20],[8]]},"denominator":1,"count":4,"finite":true}',
  ],
  triplet_margin: [
    '{"loss":[4],"gradients":{"anchor":[[-0.6,0.2]],"positive":[[0.6,0.8]],"negative":[[0,-1]]},"denominator":1,"count":1,"finite":true}',
  ],
  categorical_hinge: [
    '{"loss":[1.5,2,0],"gradients":{"predictions":[[-1,1,0],[-1,0,0],[0,0,0]]},"denominator":1,"count":3,"finite":true}',
    '{"loss":[1.5],"gradients":{"predictions":[[-0.75,0.5]]},"denominator":1,"count":1,"finite":true}',
  ],
  crammer_singer: [
    '{"loss":[1.5,0,0],"gradients":{"predictions":[[-1,1,0],[0,0,0],[-0.5,0.5,0]]},"denominator":1,"count":3,"finite":true}',
  ],
  fenchel_young: [
    '{"loss":[0.8369882],"gradients":{"predictions":[[-0.25,0.25]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[0.3125],"gradients":{"predictions":[[-0.25,0.25,0]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[0.21866667],"gradients":{"predictions":[[0.36,-0.36]]},"denominator":1,"count":1,"finite":true}',
  ],
  hinge: [
    '{"loss":[0.5,1.5,0],"gradients":{"predictions":[-1,-1,-0]},"denominator":1,"count":3,"finite":true}',
  ],
  multi_margin: [
    '{"loss":[0.5625],"gradients":{"predictions":[[0.25,-0.5,0.25,0]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[1.40625],"gradients":{"predictions":[[0.75,-2.25,1.5,0]]},"denominator":1,"count":1,"finite":true}',
  ],
  multiclass_perceptron: [
    '{"loss":[1.5,0,0],"gradients":{"predictions":[[-1,1,0],[0,0,0],[-0.5,0.5,0]]},"denominator":1,"count":3,"finite":true}',
  ],
  multiclass_sparsemax: [
    '{"loss":[0.5625,0,2],"gradients":{"predictions":[[-0.75,0.75,0],[0,0,0],[-1,1,0]]},"denominator":1,"count":3,"finite":true}',
  ],
  multilabel_margin: [
    '{"loss":[0.75],"gradients":{"predictions":[[-0.5,0.5,0.5,-0.5]]},"denominator":1,"count":1,"finite":true}',
  ],
  multilabel_soft_margin: [
    '{"loss":[1.0397208],"gradients":{"predictions":[[-0.25,0.375]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[0.6931472],"gradients":{"predictions":[[-0.5,0]]},"denominator":1,"count":1,"finite":true}',
  ],
  perceptron: [
    '{"loss":[0,0.5,2,0],"gradients":{"predictions":[-0,-1,1,-0]},"denominator":1,"count":4,"finite":true}',
  ],
  soft_margin: [
    '{"loss":[0.6931472,0.28768206,1.3862944],"gradients":{"predictions":[-0.5,-0.25,0.75]},"denominator":1,"count":3,"finite":true}',
  ],
  sparsemax: [
    '{"loss":[0.25,0,2,0.5625],"gradients":{"predictions":[-0.5,0,1,-0.75]},"denominator":1,"count":4,"finite":true}',
  ],
  squared_hinge: [
    '{"loss":[0.25,2.25,0],"gradients":{"predictions":[-1,-3,-0]},"denominator":1,"count":3,"finite":true}',
  ],
  adaptive_log_softmax: [
    '{"loss":[1.0986123],"gradients":{"hidden":[[-1]],"head":[[0],[0],[0]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[1.7917595],"gradients":{"hidden":[[-1.5]],"head":[[0],[0],[0]],"tails_0_projection":[[0]],"tails_0_weight":[[0],[0]]},"denominator":1,"count":1,"finite":true}',
  ],
  cross_entropy: [
    '{"loss":[0.6931472,0.28768206],"gradients":{"predictions":[[-0.5,0.5],[0.25,-0.25]]},"denominator":1,"count":2,"finite":true}',
    '{"loss":0.37835833,"gradients":{"predictions":[[-0.14803506,0.037907325,0.11012774]]},"denominator":1,"count":1,"finite":true}',
  ],
  cross_entropy_from_probs: [
    '{"loss":[0.2876821],"gradients":{"predictions":[[1,-0.33333334]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[0.051293295,2.3025851],"gradients":{"predictions":[[1,-0.05263158,1],[1,1,-9]]},"denominator":1,"count":2,"finite":true}',
  ],
  generalized_cross_entropy: [
    '{"loss":[1],"gradients":{"predictions":[[-2,0]]},"denominator":1,"count":1,"finite":true}',
  ],
  linear_cross_entropy: [
    '{"loss":[1.3862944],"gradients":{"hidden":[[0.82395923,0]],"weight":[[-0.75,-1.5],[0.75,1.5]]},"denominator":1,"count":1,"finite":true}',
  ],
  nll: [
    '{"loss":[0.5,0.25],"gradients":{"predictions":[[-1,0],[0,-1]]},"denominator":1,"count":2,"finite":true}',
  ],
  poly1_cross_entropy: [
    '{"loss":[2.8862944],"gradients":{"predictions":[[-1.125,1.125]]},"denominator":1,"count":1,"finite":true}',
  ],
  softmax_focal: [
    '{"loss":[0.1732868],"gradients":{"predictions":[[0.2982868,-0.2982868]]},"denominator":1,"count":1,"finite":true}',
  ],
  dpo: [
    '{"loss":[0.6931472],"gradients":{"policy_chosen":[-0.05],"policy_rejected":[0.05]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[9],"gradients":{"policy_chosen":[-6],"policy_rejected":[6]},"denominator":1,"count":1,"finite":true}',
  ],
  approx_ndcg: [
    '{"loss":[-0.7564708],"gradients":{"predictions":[[-0.08255795,0.08255795]]},"denominator":1,"count":1,"finite":true}',
  ],
  lambda_rank: [
    '{"loss":[2],"gradients":{"predictions":[[-1.442695,0.7213475,0.7213475]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[0.36907023],"gradients":{"predictions":[[-0.2662279,0.2662279]]},"denominator":1,"count":1,"finite":true}',
  ],
  list_mle: [
    '{"loss":[1.7917595],"gradients":{"predictions":[[0.8333333,-0.6666667,-0.16666667]]},"denominator":1,"count":1,"finite":true}',
  ],
  margin_ranking: [
    '{"loss":[0,0.75],"gradients":{"input1":[-0,-1],"input2":[0,1]},"denominator":1,"count":2,"finite":true}',
  ],
  pairwise_hinge_ranking: [
    '{"loss":[5.5],"gradients":{"predictions":[[-2,1,1]]},"denominator":1,"count":1,"finite":true}',
  ],
  pairwise_logistic_ranking: [
    '{"loss":[1.3862944],"gradients":{"predictions":[[-1,0.5,0.5]]},"denominator":1,"count":1,"finite":true}',
  ],
  pairwise_mse_ranking: [
    '{"loss":[12],"gradients":{"predictions":[[-12,-0,12]]},"denominator":1,"count":1,"finite":true}',
  ],
  softmax_ranking: [
    '{"loss":[3.295837],"gradients":{"predictions":[[0,1,-1,0]]},"denominator":1,"count":1,"finite":true}',
  ],
  unique_softmax: [
    '{"loss":[3.988984],"gradients":{"predictions":[[-2,0.5,1.5]]},"denominator":1,"count":1,"finite":true}',
  ],
  barron_robust: [
    '{"loss":[0,0.25,0.25],"gradients":{"predictions":[0,0.15,-0.15],"targets":[-0,-0.15,0.15]},"denominator":1,"count":3,"finite":true}',
    '{"loss":[1],"gradients":{"predictions":[0.5],"targets":[-0.5]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[1.0986123],"gradients":{"predictions":[0.6666667],"targets":[-0.6666667]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[0.86466473],"gradients":{"predictions":[0.27067056],"targets":[-0.27067056]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[2],"gradients":{"predictions":[2],"targets":[-2]},"denominator":1,"count":1,"finite":true}',
  ],
  expectile: [
    '{"loss":[3,0,0.25],"gradients":{"predictions":[-3,-0,0.5],"targets":[3,0,-0.5]},"denominator":1,"count":3,"finite":true}',
  ],
  gamma_nll: [
    '{"loss":[3,1.6931472],"gradients":{"predictions":[-2,1.9046542e-9]},"denominator":1,"count":2,"finite":true}',
  ],
  gaussian_nll: [
    '{"loss":[0.5,1.1931472],"gradients":{"predictions":[1,-0.5],"targets":[-1,0.5],"variance":[0,0]},"denominator":1,"count":2,"finite":true}',
  ],
  half_squared: [
    '{"loss":[0.125,0,2],"gradients":{"predictions":[-0.5,0,-2],"targets":[0.5,-0,2]},"denominator":1,"count":3,"finite":true}',
  ],
  huber: [
    '{"loss":[0.24499999,0.9,2.4],"gradients":{"predictions":[-0.7,-1,-1],"targets":[0.7,1,1]},"denominator":1,"count":3,"finite":true}',
  ],
  l1: [
    '{"loss":[0.5,0,2],"gradients":{"predictions":[-1,0,-1],"targets":[1,-0,1]},"denominator":1,"count":3,"finite":true}',
  ],
  log_cosh: [
    '{"loss":[0,0.43378082,1.3250028],"gradients":{"predictions":[0,0.7615942,-0.9640276],"targets":[-0,-0.7615942,0.9640276]},"denominator":1,"count":3,"finite":true}',
  ],
  mape: [
    '{"loss":[50,25,0],"gradients":{"predictions":[-50,25,0]},"denominator":1,"count":3,"finite":true}',
    '{"loss":[2.5],"gradients":{"predictions":[0.5]},"denominator":1,"count":1,"finite":true}',
  ],
  mse: [
    '{"loss":[0.25,0,4],"gradients":{"predictions":[-1,0,-4],"targets":[1,-0,4]},"denominator":1,"count":3,"finite":true}',
  ],
  msle: [
    '{"loss":[0.480453,0],"gradients":{"predictions":[0.6931472,0]},"denominator":1,"count":2,"finite":true}',
    '{"loss":[0.480453],"gradients":{"predictions":[-1.3862944]},"denominator":1,"count":1,"finite":true}',
  ],
  poisson_nll: [
    '{"loss":[1,-0.28171816],"gradients":{"predictions":[0,-0.28171816]},"denominator":1,"count":2,"finite":true}',
  ],
  quantile: [
    '{"loss":[1.8,0,0.1],"gradients":{"predictions":[-0.9,-0,0.1],"targets":[0.9,0,-0.1]},"denominator":1,"count":3,"finite":true}',
  ],
  smooth_l1: [
    '{"loss":[0.125,0,1.5],"gradients":{"predictions":[-0.5,0,-1],"targets":[0.5,-0,1]},"denominator":1,"count":3,"finite":true}',
  ],
  tweedie: [
    '{"loss":[8,2],"gradients":{"predictions":[-2,1]},"denominator":1,"count":2,"finite":true}',
    '{"loss":[3,1.6931472],"gradients":{"predictions":[-2,1.9046542e-9]},"denominator":1,"count":2,"finite":true}',
    '{"loss":[1,0.61370564],"gradients":{"predictions":[-2,3.8093084e-9]},"denominator":1,"count":2,"finite":true}',
  ],
  dice: [
    '{"loss":[[0.25]],"gradients":{"predictions":[[[-0.3125,0.1875,-0.3125,0.1875]]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[[0.14285715,0.2]],"gradients":{"predictions":[[[-0.3265306,-0.3265306,0.24489796,0],[0.32,0.32,-0.48,0]]]},"denominator":1,"count":2,"finite":true}',
  ],
  focal_tversky: [
    '{"loss":[[0.5]],"gradients":{"predictions":[[[-0.3875,0.1125,-0.3875,0.1125]]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[[0.03579255,0.017013233]],"gradients":{"predictions":[[[-0.15477858,-0.15477858,0.04975026,0],[0.05917646,0.05917646,-0.16766664,0]]]},"denominator":1,"count":2,"finite":true}',
  ],
  generalized_dice: [
    '{"loss":[0.23809524],"gradients":{"predictions":[[[-0.47165534,0.29024944,0.29024944],[0.07256236,-0.117913835,-0.117913835]]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[0.18518518],"gradients":{"predictions":[[[-0.087791495,-0.087791495,0.060356654,0],[0.24142662,0.24142662,-0.35116598,0]]]},"denominator":1,"count":1,"finite":true}',
  ],
  jaccard: [
    '{"loss":[[0.4]],"gradients":{"predictions":[[[-0.4,0.24,-0.4,0.24]]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[[0.25,0.33333334]],"gradients":{"predictions":[[[-0.5,-0.5,0.375,0],[0.44444445,0.44444445,-0.6666667,0]]]},"denominator":1,"count":2,"finite":true}',
  ],
  lovasz: [
    '{"loss":[[0.75]],"gradients":{"predictions":[[[-0,-0.5,0]]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[[0.75]],"gradients":{"predictions":[[[0,-0.5,0,0]]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[[0.5,0]],"gradients":{"predictions":[[[-0.25,0],[0.25,0]]]},"denominator":1,"count":1,"finite":true}',
  ],
  tversky: [
    '{"loss":[[0.25]],"gradients":{"predictions":[[[-0.3875,0.1125,-0.3875,0.1125]]]},"denominator":1,"count":1,"finite":true}',
    '{"loss":[[0.1891892,0.13043478]],"gradients":{"predictions":[[[-0.4090577,-0.4090577,0.13148284,0],[0.2268431,0.2268431,-0.64272213,0]]]},"denominator":1,"count":2,"finite":true}',
  ],
  ctc: [
    '{"loss":[0.2876821],"gradients":{"predictions":[[[0.16666667,-0.16666667],[0.16666667,-0.16666667]]]},"denominator":1,"count":1,"finite":true}',
  ],
}
