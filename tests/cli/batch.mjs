// Runs many commands of the official CLI, one after another, in one process: starting node and the CLI takes a second each time.
//
// node batch.mjs PACKAGE DESCRIPTOR < JOBS: each job is a line of JSON with `words` and `env`. Each result is a line of JSON with `status`,
// `stdout` and `stderr`, written to the descriptor as soon as the command has ended.

import {readFileSync, writeSync} from 'node:fs'
import {createRequire} from 'node:module'
import {join} from 'node:path'

const root = process.argv[2]
const {Config, execute, ux} = createRequire(join(root, 'package.json'))('@oclif/core')
const PATIENCE = 45_000
const results = Number(process.argv[3])
const jobs = readFileSync(0, 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line))
const environ = {...process.env}
const config = await Config.load(join(root, 'package.json'))
class Exit extends Error {}

process.on('unhandledRejection', () => {})

function run({words, env}) {
  process.env = {...environ, ...env}
  process.argv = [process.argv[0], join(root, 'bin', 'run.js'), ...words]
  process.exitCode = undefined
  const said = {stdout: '', stderr: ''}
  let isOver = false
  return new Promise(resolve => {
    const end = status => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      process.off('uncaughtException', crash)
      ux.action.stop()
      resolve({...said, status})
    }

    const crash = error => {
      if (error instanceof Exit) return
      if (!isOver) said.stderr += error.stack
      end(1)
    }

    const timer = setTimeout(() => crash(new Error('The command did not end.')), PATIENCE)
    process.on('uncaughtException', crash)
    for (const name of ['stdout', 'stderr']) {
      process[name].write = (text, ...rest) => {
        if (!isOver) said[name] += text
        rest.findLast(each => typeof each === 'function')?.()
        return true
      }

      ux.action.stdmockOrigs[name] = process[name].write
    }

    process.exit = code => {
      end(code ?? process.exitCode ?? 0)
      throw new Exit()
    }
    execute({args: words, loadOptions: config}).then(() => end(process.exitCode ?? 0), crash)
  })
}

const exit = process.exit.bind(process)
for (const job of jobs) writeSync(results, JSON.stringify(await run(job)) + '\n')
exit(0)
