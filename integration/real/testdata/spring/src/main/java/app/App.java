package app;

import java.net.URI;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestClient;

/** A service as Spring's users write it: GET /?url=URL calls the URL. */
@SpringBootApplication
@RestController
public class App {
    private final RestClient client;
    private final RestClient unmanaged = RestClient.create();

    App(RestClient.Builder builder) {
        this.client = builder.build();
    }

    @GetMapping("/")
    String call(@RequestParam("url") String url) {
        return client.get().uri(URI.create(url)).retrieve().body(String.class);
    }

    /** The same with a client that Spring did not build. */
    @GetMapping("/unmanaged")
    String callUnmanaged(@RequestParam("url") String url) {
        return unmanaged.get().uri(URI.create(url)).retrieve().body(String.class);
    }

    public static void main(String[] args) {
        SpringApplication.run(App.class, args);
    }
}
