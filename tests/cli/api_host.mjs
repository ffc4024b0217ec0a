// Sends to the embedded Heroku what a program sends to Heroku's API at its fixed address: node --import api_host.mjs PROGRAM

const {fetch} = globalThis

globalThis.fetch = (url, init) => fetch(String(url).replace('https://api.heroku.com/', `${process.env.HEROKU_HOST}/`), init)
