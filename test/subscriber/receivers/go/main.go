// Heron's events with the stock CloudEvents SDK.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// Of a service: in a database, where it is to outlive the process.
var (
	mutex    sync.Mutex
	handled  = map[string]bool{}
	failures int
)

func receive(response http.ResponseWriter, request *http.Request) {
	event, err := cehttp.NewEventFromHTTPRequest(request)
	if err != nil || event.Validate() != nil {
		http.Error(response, "not a CloudEvent", http.StatusBadRequest)
		return
	}
	if !handle(*event) {
		http.Error(response, "to be sent again", http.StatusInternalServerError)
		return
	}
	response.WriteHeader(http.StatusNoContent)
}

func handle(event cloudevents.Event) bool {
	mutex.Lock()
	defer mutex.Unlock()
	if handled[event.ID()] {
		return true
	}
	if failures > 0 {
		failures--
		return false
	}
	handled[event.ID()] = true
	data := json.RawMessage("null")
	if json.Valid(event.Data()) {
		data = event.Data()
	}
	line, _ := json.Marshal(map[string]any{"id": event.ID(), "type": event.Type(), "data": data})
	fmt.Println(string(line))
	return true
}

func main() {
	failures, _ = strconv.Atoi(os.Getenv("FAILURES"))
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	log.Fatal(http.Serve(listener, http.HandlerFunc(receive)))
}
