package send

import (
	"net/http"
	"sync"
)

func waited(w http.ResponseWriter, r *http.Request) {
	var wg sync.WaitGroup
	wg.Go(func() {})
	wg.Add(1)
	go func() {
		defer wg.Done()
		resp, err := http.Get("http://prices/1") // want `http.Get is sent without`
		if err != nil {
			return
		}
		resp.Body.Close()
	}()
	wg.Wait()
}
