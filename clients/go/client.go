package lossd

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Client of one service, for any number of goroutines.
type Client struct {
	// URL of the service; by default $LOSSD_URL, or http://localhost:8080.
	URL string
	// APIKey, by default $LOSSD_API_KEY.
	APIKey string
	// Timeout of a call with all of its attempts, unless its context has a deadline. Default: 30 seconds.
	Timeout time.Duration
	// Retries of what the service refuses for the moment. Default: 4; -1 for none.
	Retries int
	// Cache is the folder of kernels, by default $LOSSD_CACHE, or lossd in the user's cache folder.
	Cache string
	// Traceparent is the W3C trace context that a request belongs to.
	Traceparent func(context.Context) string
	HTTP        *http.Client

	mutex   sync.Mutex
	kernels map[string]*kernel
}

// DefaultClient of losses that are not given one.
var DefaultClient = &Client{}

func (c *Client) url() string {
	return strings.TrimSuffix(cmp.Or(c.URL, os.Getenv("LOSSD_URL"), "http://localhost:8080"), "/")
}

type request struct {
	method, path string
	headers      map[string]string
	body         []byte
}

// do repeats what the service refuses for the moment, until it succeeds or the deadline passes.
func (c *Client) do(ctx context.Context, r request) ([]byte, http.Header, error) {
	timeout := cmp.Or(c.Timeout, 30*time.Second)
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	retries := cmp.Or(c.Retries, 4)
	for attempt := 0; ; attempt++ {
		body, header, after, err := c.once(ctx, r)
		if err == nil || attempt >= retries || after < 0 || !c.wait(ctx, attempt, after, err) {
			return body, header, err
		}
	}
}

// once returns the seconds after which another attempt makes sense, or -1.
func (c *Client) once(ctx context.Context, r request) ([]byte, http.Header, float64, error) {
	sent, err := http.NewRequestWithContext(ctx, r.method, c.url()+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, nil, -1, err
	}
	for name, value := range r.headers {
		sent.Header.Set(name, value)
	}
	if deadline, has := ctx.Deadline(); has {
		sent.Header.Set("X-Request-Timeout-Ms", strconv.FormatInt(max(1, time.Until(deadline).Milliseconds()), 10))
	}
	if key := cmp.Or(c.APIKey, os.Getenv("LOSSD_API_KEY")); key != "" {
		sent.Header.Set("Authorization", "Bearer "+key)
	}
	if c.Traceparent != nil {
		sent.Header.Set("Traceparent", c.Traceparent(ctx))
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(sent)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, -1, ctx.Err()
		}
		return nil, nil, 0, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer answer.Body.Close()
	body, err := readAll(answer)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if answer.StatusCode < 400 {
		return body, answer.Header, 0, nil
	}
	return nil, nil, retryAfter(answer), problemOf(answer.StatusCode, body)
}

func readAll(answer *http.Response) ([]byte, error) {
	if answer.ContentLength <= 0 {
		return io.ReadAll(answer.Body)
	}
	body := make([]byte, answer.ContentLength)
	_, err := io.ReadFull(answer.Body, body)
	return body, err
}

func retryAfter(answer *http.Response) float64 {
	if answer.StatusCode != 429 && answer.StatusCode != 503 {
		return -1
	}
	seconds, _ := strconv.ParseFloat(answer.Header.Get("Retry-After"), 64)
	return seconds
}

func problemOf(status int, body []byte) *Problem {
	var d document
	if json.Unmarshal(body, &d) != nil || d.Type == "" {
		d.Detail = fmt.Sprintf("the response has status %d and is no problem document: it is from a proxy", status)
	}
	return d.problem(status)
}

// wait reports whether there is time for another attempt.
func (c *Client) wait(ctx context.Context, attempt int, after float64, why error) bool {
	// Full jitter, so that clients which were refused together do not come back together.
	jitter := rand.Float64() * min(2, 0.05*float64(int(1)<<attempt))
	pause := time.Duration((after + jitter) * float64(time.Second))
	if deadline, has := ctx.Deadline(); has && time.Until(deadline) <= pause {
		return false
	}
	slog.WarnContext(ctx, "lossd: a request is repeated", "reason", why, "attempt", attempt+2, "pause", pause)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// JSON sends a request to a path of the service, and decodes its response: Register, Analyze and the like are made of it.
func (c *Client) JSON(ctx context.Context, method, path string, body, into any) error {
	r := request{method: method, path: path, headers: map[string]string{"Accept": "application/json"}}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r.body, r.headers["Content-Type"] = text, "application/json"
	}
	answer, _, err := c.do(ctx, r)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// Register keeps a loss of your own under namespace/name.
func (c *Client) Register(ctx context.Context, definition any) (registered map[string]any, err error) {
	return registered, c.JSON(ctx, "POST", "/v1/losses", definition, &registered)
}

// Analyze says what can be proved of a loss.
func (c *Client) Analyze(ctx context.Context, question any) (analysis map[string]any, err error) {
	return analysis, c.JSON(ctx, "POST", "/v1/losses:analyze", question, &analysis)
}

// Check checks the gradient of a loss at given inputs, in four ways. The body has a formula or a definition, unless the loss has a name.
func (c *Client) Check(ctx context.Context, name string, body any) (checked map[string]any, err error) {
	path := "/v1/losses"
	if name != "" {
		path = lossPath(name)
	}
	return checked, c.JSON(ctx, "POST", path+":check", body, &checked)
}

// Guide says which loss to choose, and why.
func (c *Client) Guide(ctx context.Context, question url.Values) (guide map[string]any, err error) {
	path := "/v1/guide"
	if len(question) > 0 {
		path += "?" + question.Encode()
	}
	return guide, c.JSON(ctx, "GET", path, nil, &guide)
}

// Catalog of all losses or, with a namespace, of those that are registered in it.
func (c *Client) Catalog(ctx context.Context, namespace string) (catalog []map[string]any, err error) {
	query := url.Values{}
	if namespace != "" {
		query.Set("namespace", namespace)
	}
	for {
		var page struct {
			Losses []map[string]any `json:"losses"`
			Next   string           `json:"next"`
		}
		if err := c.JSON(ctx, "GET", "/v1/losses?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		catalog = append(catalog, page.Losses...)
		if page.Next == "" {
			return catalog, nil
		}
		query.Set("after", page.Next)
	}
}

// Describe one loss: formula, inputs, parameters, references, examples.
func (c *Client) Describe(ctx context.Context, name string) (described map[string]any, err error) {
	return described, c.JSON(ctx, "GET", lossPath(name), nil, &described)
}

func lossPath(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(url.PathEscape(part), "%40", "@")
	}
	return "/v1/losses/" + strings.Join(parts, "/")
}

// Kernels

func (c *Client) kernelFor(ctx context.Context, question string, r request) (*kernel, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if known := c.kernels[question]; known != nil {
		return known, nil
	}
	module, err := c.cached(question)
	if module == nil && err == nil {
		module, err = c.fetch(ctx, question, r)
	}
	if err != nil {
		return nil, err
	}
	made, err := newKernel(context.WithoutCancel(ctx), module)
	if err != nil {
		return nil, err
	}
	if c.kernels == nil {
		c.kernels = map[string]*kernel{}
	}
	c.kernels[question] = made
	return made, nil
}

func (c *Client) fetch(ctx context.Context, question string, r request) ([]byte, error) {
	module, header, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := verify(module, strings.Trim(header.Get("ETag"), `W/"`)); err != nil {
		return nil, err
	}
	if err := c.keep(question, module); err != nil {
		slog.WarnContext(ctx, "lossd: kernels are not kept", "folder", c.folder(), "reason", err)
	}
	return module, nil
}

func verify(module []byte, sha string) error {
	if found := hash(module); found != sha {
		return fmt.Errorf("%w: it has the hash %s, expected %s", ErrKernelRejected, found, sha)
	}
	return nil
}

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func (c *Client) folder() string {
	if own := c.Cache; own != "" {
		return own
	}
	if own := os.Getenv("LOSSD_CACHE"); own != "" {
		return own
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "lossd")
}

type indexed struct {
	Question string `json:"question"`
	SHA256   string `json:"sha256"`
}

func (c *Client) cached(question string) ([]byte, error) {
	text, err := os.ReadFile(c.indexPath(question))
	var entry indexed
	if err != nil || json.Unmarshal(text, &entry) != nil {
		return nil, nil
	}
	module, err := os.ReadFile(filepath.Join(c.folder(), "kernels", entry.SHA256+".wasm"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return module, verify(module, entry.SHA256)
}

func (c *Client) indexPath(question string) string {
	return filepath.Join(c.folder(), "index", hash([]byte(question))+".json")
}

func (c *Client) keep(question string, module []byte) error {
	entry := indexed{question, hash(module)}
	text, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(c.folder(), "kernels", entry.SHA256+".wasm"), module); err != nil {
		return err
	}
	return replace(c.indexPath(question), text)
}

// replace a file at once, so that another process never reads half of it.
func replace(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), "draft")
	if err != nil {
		return err
	}
	_, err = draft.Write(content)
	if err := errors.Join(err, draft.Close()); err != nil {
		return errors.Join(err, os.Remove(draft.Name()))
	}
	return os.Rename(draft.Name(), path)
}
