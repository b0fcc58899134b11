/* client.c - a program that opens connections on command. The scenario tests speak to it in lines;
 * what happens to a connection is told as a line to all who are connected:
 *
 *   NAME open PROTOCOL TLS    it stands: the sub-protocol agreed on or -, the version of TLS or -
 *   NAME text|binary BODY     a message came (binary: in hex; longer than 100 bytes: "#LENGTH")
 *   NAME lost REASON COUNT
 *   NAME drain
 *   NAME close REASON WHY     it has ended; WHY as crew_connect_error(), or -
 *   NAME again                another attempt under the same name
 *
 * Commands; each gets one line back, "ok ..." or "error ...":
 *
 *   connect NAME URL [OPTION=VALUE ...]   options: those of crew_connect_options;
 * header=NAME:VALUE, service=slow (its queue is 64 KiB) or netstring; protocols with commas between
 * them send|binary NAME BODY, large NAME BYTES, close NAME [CODE REASON], abort NAME, finish NAME
 *   policy NAME POLICY, queued NAME, remote NAME, local NAME, peer NAME (of its certificate)
 *   pause NAME, resume NAME
 *   broadcast BODY, each      of the service that connects: how many were reached */
#include <crew/crew.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SLOTS = 64,
	NAME_MOST = 32,
	SHOWN_MOST = 100
};

static struct slot {
	char name[NAME_MOST];
	uint64_t id;
} slots[SLOTS];

static const crew_service control, plain, slow;

/* ---- telling ------------------------------------------------------------------------------- */

static void to_each(crew_conn *c, void *arg)
{
	crew_send(c, *(crew_bytes *)arg);
}

static const char *name_of(const crew_conn *c)
{
	struct slot *slot = crew_arg(c);
	return slot ? slot->name : "?";
}

static void tell(crew_conn *c, const char *what, const char *more, const char *last)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s %s%s%s%s%s", name_of(c), what, more ? " " : "",
		more ? more : "", last ? " " : "", last ? last : "");
	crew_bytes bytes = { line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1 };
	crew_each(&control, to_each, &bytes);
}

static void on_open(crew_conn *c)
{
	const char *protocol = crew_websocket_protocol(c), *tls = crew_tls_version(c);
	tell(c, "open", protocol[0] ? protocol : "-", tls ? tls : "-");
}

static void on_message(crew_conn *c, crew_msg msg)
{
	char body[SHOWN_MOST * 2 + 1];
	if (msg.body.len > SHOWN_MOST)
		snprintf(body, sizeof(body), "#%zu", msg.body.len);
	else if (msg.kind == CREW_BINARY)
		for (size_t i = 0; i < msg.body.len; i++)
			snprintf(body + 2 * i, 3, "%02x", (unsigned char)msg.body.data[i]);
	else
		snprintf(body, sizeof(body), "%.*s", (int)msg.body.len, msg.body.data);
	if (msg.body.len == 0)
		body[0] = '\0';
	tell(c, msg.kind == CREW_BINARY ? "binary" : "text", body, NULL);
}

static void on_error(crew_conn *c, const crew_loss *loss)
{
	char count[32];
	snprintf(count, sizeof(count), "%llu", (unsigned long long)loss->messages);
	tell(c, "lost", crew_reason_name(loss->reason), count);
}

static void on_drain(crew_conn *c)
{
	tell(c, "drain", NULL, NULL);
}

static void on_close(crew_conn *c)
{
	const char *why = crew_connect_error(c);
	tell(c, "close", crew_end_name(crew_close_reason(c)), why ? why : "-");
}

static void on_retry(crew_conn *c)
{
	struct slot *slot = crew_arg(c);
	slot->id = crew_id(c);
	tell(c, "again", NULL, NULL);
}

/* ---- connecting ---------------------------------------------------------------------------- */

static int64_t netstring_cut(crew_conn *c, crew_bytes in)
{
	(void)c;
	const char *colon = in.len ? memchr(in.data, ':', in.len < 8 ? in.len : 8) : NULL;
	if (!colon)
		return in.len >= 8 ? -EPROTO : 0;
	return colon - in.data + 1 + atol(in.data) + 1;
}

static int netstring_decode(crew_conn *c, crew_bytes in, crew_msg *ret_msg)
{
	(void)c;
	const char *colon = memchr(in.data, ':', in.len);
	size_t head = (size_t)(colon - in.data) + 1;
	ret_msg->body = (crew_bytes){ in.data + head, in.len - head - 1 };
	ret_msg->kind = CREW_TEXT;
	return in.data[in.len - 1] == ',' ? 0 : -EPROTO;
}

static int netstring_encode(crew_conn *c, crew_kind kind, crew_frame *frame)
{
	(void)c;
	(void)kind;
	int n = snprintf(frame->room, sizeof(frame->room), "%zu:", frame->body.len);
	frame->head = (crew_bytes){ frame->room, (size_t)n };
	frame->tail = CREW_BYTES(",");
	return 0;
}

static const crew_protocol netstring = {
	.name = "netstring",
	.cut = netstring_cut,
	.decode = netstring_decode,
	.encode = netstring_encode,
};

#define CALLBACKS                                                                                 \
	.on_open = on_open, .on_message = on_message, .on_error = on_error, .on_drain = on_drain, \
	.on_close = on_close

static const crew_service plain = {
	.name = "plain", .handshake_timeout_ms = 1000, .linger_ms = 500, CALLBACKS
};
static const crew_service slow = {
	.name = "slow", .max_send_buffer = 64 * 1024, .deflate = "off", CALLBACKS
};
static const crew_service own = { .name = "own", .protocol = &netstring, CALLBACKS };

static struct slot *find(const char *name)
{
	for (int i = 0; i < SLOTS; i++)
		if (strcmp(slots[i].name, name) == 0)
			return &slots[i];
	return NULL;
}

struct wishes {
	crew_connect_options options;
	crew_header headers[8];
	unsigned header_count;
};

static void wish_header(struct wishes *w, char *value)
{
	char *colon = strchr(value, ':');
	if (!colon || w->header_count == 7)
		return;
	w->headers[w->header_count++] = (crew_header){ { value, (size_t)(colon - value) },
		crew_str(colon + 1) };
	w->options.headers = w->headers;
}

static bool wish_text(crew_connect_options *o, const char *key, const char *value)
{
	const struct {
		const char *key, **place;
	} texts[] = { { "proxy", &o->proxy }, { "local", &o->local }, { "tls_ca", &o->tls_ca },
		{ "tls_name", &o->tls_name }, { "tls_cert", &o->tls_cert },
		{ "tls_key", &o->tls_key }, { "tls_alpn", &o->tls_alpn },
		{ "protocols", &o->protocols } };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(texts[i].key, key) == 0) {
			*texts[i].place = value;
			return true;
		}
	}
	return false;
}

static bool wish(struct wishes *w, char *word)
{
	char *value = strchr(word, '=');
	crew_connect_options *o = &w->options;
	if (!value)
		return false;
	*value++ = '\0';
	for (char *comma = value; strcmp(word, "protocols") == 0 && *comma; comma++)
		if (*comma == ',')
			*comma = ' ';
	if (wish_text(o, word, value))
		return true;
	if (strcmp(word, "header") == 0)
		wish_header(w, value);
	else if (strcmp(word, "service") == 0)
		o->service = strcmp(value, "slow") == 0 ? &slow : &own;
	else if (strcmp(word, "timeout_ms") == 0)
		o->timeout_ms = atol(value);
	else if (strcmp(word, "retry_ms") == 0)
		o->retry_ms = atol(value);
	else if (strcmp(word, "retry_most_ms") == 0)
		o->retry_most_ms = atol(value);
	else if (strcmp(word, "tls_insecure") == 0)
		o->tls_insecure = true;
	else
		return false;
	return true;
}

static const char *do_connect(char *rest)
{
	char *save = NULL;
	struct slot *slot = find("");
	const char *name = strtok_r(rest, " ", &save), *url = strtok_r(NULL, " ", &save);
	struct wishes w = { .options = { .service = &plain } };
	if (!slot || !url || find(name))
		return "error usage";
	for (char *word = strtok_r(NULL, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (!wish(&w, word))
			return "error option";
	w.options.arg = slot;
	if (w.options.retry_ms > 0)
		w.options.on_retry = on_retry;
	crew_conn *c = crew_connect(url, &w.options);
	if (!c)
		return errno == EINVAL   ? "error EINVAL"
		       : errno == EMFILE ? "error EMFILE"
					 : "error";
	snprintf(slot->name, sizeof(slot->name), "%s", name);
	slot->id = crew_id(c);
	return "ok";
}

/* ---- other commands ------------------------------------------------------------------------ */

static char said[512];

static const char *say(long long result)
{
	if (result < 0)
		snprintf(said, sizeof(said), "error %s", strerror((int)-result));
	else
		snprintf(said, sizeof(said), "ok %lld", result);
	return said;
}

static const char *say_text(const char *text)
{
	snprintf(said, sizeof(said), "ok %s", text ? text : "-");
	return said;
}

static const char *send_large(crew_conn *c, const char *rest)
{
	size_t len = (size_t)atol(rest);
	char *bytes = malloc(len + 1);
	memset(bytes, 'x', len + 1);
	int64_t result = crew_send_owned(
		c, (crew_bytes){ bytes, len }, (void (*)(void *, void *))(void *)free, NULL);
	return say(result);
}

static const char *send_binary(crew_conn *c, const char *rest)
{
	char bytes[256];
	size_t len = 0;
	for (; rest[0] && rest[1] && len < sizeof(bytes); rest += 2) {
		unsigned byte;
		sscanf(rest, "%2x", &byte);
		bytes[len++] = (char)byte;
	}
	return say(crew_send_with(
		c, (crew_bytes){ bytes, len }, &(crew_send_options){ .kind = CREW_BINARY }));
}

static const char *close_it(crew_conn *c, const char *rest)
{
	if (!rest[0])
		return say(crew_close(c));
	const char *reason = strchr(rest, ' ');
	return say(crew_close_with(c, atoi(rest), crew_str(reason ? reason + 1 : "")));
}

static const char *set_policy(crew_conn *c, const char *name)
{
	for (int policy = 0; policy < CREW_POLICIES; policy++)
		if (strcmp(crew_policy_name((crew_policy)policy), name) == 0)
			return say(crew_set_policy(c, (crew_policy)policy));
	return "error policy";
}

static const char *ask(crew_conn *c, const char *command, const char *rest)
{
	char text[128];
	if (strcmp(command, "queued") == 0)
		return say((long long)crew_queued(c));
	if (strcmp(command, "remote") == 0)
		return say_text((crew_remote(c, text, sizeof(text)), text));
	if (strcmp(command, "local") == 0)
		return say_text((crew_local(c, text, sizeof(text)), text));
	if (strcmp(command, "peer") == 0)
		return say_text(crew_tls_peer_name(c));
	(void)rest;
	return "error command";
}

static const char *act(crew_conn *c, const char *command, const char *rest)
{
	if (strcmp(command, "send") == 0)
		return say(crew_send(c, crew_str(rest)));
	if (strcmp(command, "binary") == 0)
		return send_binary(c, rest);
	if (strcmp(command, "large") == 0)
		return send_large(c, rest);
	if (strcmp(command, "close") == 0)
		return close_it(c, rest);
	if (strcmp(command, "abort") == 0)
		return say(crew_abort(c));
	if (strcmp(command, "finish") == 0)
		return say(crew_finish(c));
	if (strcmp(command, "pause") == 0)
		return say(crew_pause(c));
	if (strcmp(command, "resume") == 0)
		return say(crew_resume(c));
	if (strcmp(command, "policy") == 0)
		return set_policy(c, rest);
	return ask(c, command, rest);
}

static void count_one(crew_conn *c, void *arg)
{
	(void)c;
	(void)arg;
}

static const char *obey(char *line)
{
	char *rest = strchr(line, ' ');
	if (rest)
		*rest++ = '\0';
	else
		rest = line + strlen(line);
	if (strcmp(line, "connect") == 0)
		return do_connect(rest);
	if (strcmp(line, "each") == 0)
		return say(crew_each(&plain, count_one, NULL));
	if (strcmp(line, "broadcast") == 0) {
		crew_shared *s = crew_shared_new(crew_str(rest));
		int64_t reached = crew_broadcast(&plain, s);
		crew_shared_unref(s);
		return say(reached);
	}
	char *more = strchr(rest, ' ');
	if (more)
		*more++ = '\0';
	struct slot *slot = rest[0] ? find(rest) : NULL;
	return act(slot ? crew_find(slot->id) : NULL, line, more ? more : "");
}

static void on_command(crew_conn *c, crew_msg msg)
{
	char line[1024];
	snprintf(line, sizeof(line), "%.*s", (int)msg.body.len, msg.body.data);
	crew_send(c, crew_str(obey(line)));
}

static const crew_service control = {
	.name = "control", .listen = "text://127.0.0.1:7001", .on_message = on_command
};

int main(int argc, char **argv)
{
	return crew_main(argc, argv, &(crew_app){ .name = "client", .services = { &control } });
}
