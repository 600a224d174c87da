// openai for Node: chat, tools, streams, the Responses API, and a fine-tuning job.
import fs from 'node:fs';
import assert from 'node:assert';
import OpenAI from 'openai';

const client = new OpenAI();
const model = 'gpt-4o-mini';
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const messages = [{ role: 'user', content: 'What is the weather in Rome?' }];
const tools = [{ type: 'function', function: { name: 'get_weather', parameters } }];

const called = await client.chat.completions.create({ model, messages, tools, tool_choice: 'required' });
messages.push(called.choices[0].message);
for (const call of called.choices[0].message.tool_calls) {
  assert(JSON.parse(call.function.arguments).city);
  messages.push({ role: 'tool', tool_call_id: call.id, content: '31 degrees' });
}
assert((await client.chat.completions.create({ model, messages, tools, tool_choice: 'none' })).choices[0].message.content);

const streamed = client.chat.completions.stream({ model, messages: messages.slice(0, 1) });
assert(await streamed.finalContent());

const first = await client.responses.create({
  model, input: 'What is the weather in Rome?', tool_choice: 'required',
  tools: [{ type: 'function', name: 'get_weather', parameters, strict: false }],
});
const input = first.output.map((call) => ({ type: 'function_call_output', call_id: call.call_id, output: '31' }));
assert((await client.responses.create({ model, input, previous_response_id: first.id })).output_text);
const kinds = [];
for await (const event of await client.responses.create({ model, input: 'Hello?', stream: true })) kinds.push(event.type);
assert.equal(kinds.at(-1), 'response.completed');

const file = await client.files.create({ file: fs.createReadStream(process.argv[2]), purpose: 'fine-tune' });
let job = await client.fineTuning.jobs.create({ model, training_file: file.id, suffix: 'node' });
while (!['succeeded', 'failed', 'cancelled'].includes(job.status)) {
  await new Promise((done) => setTimeout(done, 200));
  job = await client.fineTuning.jobs.retrieve(job.id);
}
assert.equal(job.status, 'succeeded');
assert((await client.responses.create({ model: job.fine_tuned_model, input: 'Hello?' })).output_text);
