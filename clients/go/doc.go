// Package lossd computes loss functions with exact gradients: by a lossd service, or by its kernels in this process.
//
//	huber := lossd.NewLoss("huber", lossd.Options{Params: lossd.Params{"delta": 2.0}})
//	result, err := huber.Evaluate(ctx, lossd.Inputs{"predictions": p, "targets": t})
package lossd

// Version of this package, which is that of the service it was published with.
const Version = "0.1.0"
