// Keep-alive clients of Go's net/http: client URL COUNT. See ../clients.ts for what is printed.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const body = `{"predictions":[1,2,3],"targets":[1,2,5]}`

type result struct {
	Answered int            `json:"answered"`
	Refused  int            `json:"refused"`
	Faults   map[string]int `json:"faults"`
}

func post(client *http.Client, url string) error {
	response, err := client.Post(url+"/v1/losses/huber", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

func main() {
	url := os.Args[1]
	count, _ := strconv.Atoi(os.Args[2])
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: count, MaxConnsPerHost: count}}
	all := result{Faults: map[string]int{}}
	var lock sync.Mutex
	var done sync.WaitGroup
	warm := 0
	for place := 0; place < count; place++ {
		done.Add(1)
		go func() {
			defer done.Done()
			for step := 0; ; step++ {
				err := post(client, url)
				lock.Lock()
				if errors.Is(err, syscall.ECONNREFUSED) {
					all.Refused++
				} else if err != nil {
					all.Faults[err.Error()]++
				} else {
					all.Answered++
				}
				if step == 2 {
					warm++
					if warm == count {
						fmt.Println("warm")
					}
				}
				lock.Unlock()
				if err != nil {
					return
				}
				if place%2 == 1 {
					time.Sleep(time.Duration(rand.Intn(30)) * time.Millisecond)
				}
			}
		}()
	}
	done.Wait()
	text, _ := json.Marshal(all)
	fmt.Println(string(text))
}
