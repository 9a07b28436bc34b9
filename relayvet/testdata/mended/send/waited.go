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
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://prices/1", nil)
		if err != nil {
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		resp.Body.Close()
	}()
	wg.Wait()
}
