// A service as Express's users write it: GET /?url=URL calls the URL with axios,
// and GET /fetch?url=URL with fetch.
const express = require('express')
const axios = require('axios')

const app = express()

app.get('/', async (req, res) => {
  const answer = await axios.get(req.query.url, { proxy: false, validateStatus: null })
  res.status(answer.status).send(answer.data)
})

app.get('/fetch', async (req, res) => {
  const answer = await fetch(req.query.url)
  res.status(answer.status).send(await answer.text())
})

app.listen(Number(process.env.PORT), '127.0.0.1')
