// Runs telegram-test-api 4.2.1 on a free port and says which. The corrections below are the least with which
// python-telegram-bot 22 can talk to it; each names what the library does without it. docs/telegram.md lists the rest.
'use strict';
const net = require('net');
const TelegramServer = require('telegram-test-api');

function bot(first) {
  return { id: 666, is_bot: true, first_name: first, username: 'TestNameBot' };
}

function seen(message, id) {
  return {
    message_id: id,
    date: Math.floor(Date.now() / 1000), // it says milliseconds: "year 58859 is out of range"
    text: message.text,
    chat: { id: Number(message.chat_id), type: 'private', first_name: 'Person' },
    from: bot('Test First name'),
  };
}

function corrections(server) {
  return {
    // without is_bot: TypeError in initialize(), nothing works
    getMe: () => bot('Test First name'),
    sendMessage: (body, token) => seen(body, server.addBotMessage(body, token).message_id),
    // it answers null: "'NoneType' object has no attribute 'copy'"
    editMessageText: (body) => {
      server.editMessageText(body);
      return seen(body, Number(body.message_id));
    },
    // unknown there: 500
    setMyCommands: () => true,
  };
}

function correct(server) {
  const stack = server.webServer._router.stack;
  const first = stack.findIndex((layer) => layer.route);
  for (const [method, act] of Object.entries(corrections(server))) {
    server.webServer.post(`/bot:token/${method}`, (req, res) => {
      res.json({ ok: true, result: act(req.body, req.params.token) });
    });
    stack.splice(first, 0, stack.pop()); // before its own
  }
}

const probe = net.createServer().listen(0, '127.0.0.1', () => {
  const { port } = probe.address();
  probe.close(async () => {
    const server = new TelegramServer({ port, host: '127.0.0.1', storeTimeout: 60 });
    correct(server);
    await server.start();
    process.stdout.write(`${port}\n`);
  });
});
process.stdin.on('end', () => process.exit(0)).resume(); // who started us is gone
