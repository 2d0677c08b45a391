// The same job with Google's own client for Go, each message published at once or in the client's own batches: verify,
// publish, answer.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"
)

func main() {
	client, err := pubsub.NewClient(context.Background(), os.Getenv("GOOGLE_CLOUD_PROJECT"))
	if err != nil {
		log.Fatal(err)
	}
	secrets := strings.Split(os.Getenv("HERON_SHARED_SECRET"), "\n")
	var mutex sync.Mutex
	publishers := map[string]*pubsub.Publisher{}
	publisherOf := func(topic string) *pubsub.Publisher {
		mutex.Lock()
		defer mutex.Unlock()
		publisher, known := publishers[topic]
		if !known {
			publisher = client.Publisher(topic)
			if os.Getenv("BATCHING") == "none" {
				publisher.PublishSettings.CountThreshold = 1
			}
			publishers[topic] = publisher
		}
		return publisher
	}

	http.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(io.LimitReader(request.Body, 10_000_000))
		if err != nil || !signed(body, request.Header.Get("Heron-Signature"), secrets) {
			response.WriteHeader(http.StatusUnauthorized)
			return
		}
		var webhook struct{ Topic string }
		if json.Unmarshal(body, &webhook) != nil {
			response.WriteHeader(http.StatusBadRequest)
			return
		}
		id := sha256.Sum256(body)
		ctx, cancel := context.WithTimeout(request.Context(), 6*time.Second)
		defer cancel()
		message := &pubsub.Message{Data: body, Attributes: map[string]string{"ce-id": hex.EncodeToString(id[:])}}
		if _, err := publisherOf(webhook.Topic).Publish(ctx, message).Get(ctx); err != nil {
			response.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

func signed(body []byte, given string, secrets []string) bool {
	valid := false
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		expected := base64.StdEncoding.EncodeToString(mac.Sum(nil))
		if hmac.Equal([]byte(expected), []byte(given)) {
			valid = true
		}
	}
	return valid
}
