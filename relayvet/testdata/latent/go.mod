module example.com/latent

go 1.26.0
