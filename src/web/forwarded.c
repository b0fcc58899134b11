/* forwarded.c - reading Forwarded and X-Forwarded-For from the right. */
#include "web/forwarded.h"

#include <string.h>
#include <sys/socket.h>

#include "proto/http1.h"

enum {
	ELEMENTS_MOST = 64, /* of one Forwarded field; more is no chain of proxies */
	PORT_DIGITS = 5
};

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* ---- one node (RFC 7239 section 6) --------------------------------------------------------- */

/* ALPHA / DIGIT / "." / "_" / "-", behind an underscore. */
static bool is_obfuscated(crew_bytes text)
{
	if (text.len < 2 || text.data[0] != '_')
		return false;
	for (size_t i = 1; i < text.len; i++)
		if (!is_alnum(text.data[i]) && text.data[i] != '.' && text.data[i] != '_' &&
			text.data[i] != '-')
			return false;
	return true;
}

/* A number, or obfuscated: then it is not known. */
static bool read_port(crew_bytes text, uint16_t *ret_port)
{
	unsigned port = 0;
	*ret_port = 0;
	if (is_obfuscated(text))
		return true;
	if (text.len == 0 || text.len > PORT_DIGITS)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		port = port * 10 + (unsigned)(text.data[i] - '0');
	}
	*ret_port = (uint16_t)port;
	return port <= UINT16_MAX;
}

/* Take `:PORT` off the end. False: what stands behind the colon is no port. */
static bool split_port(crew_bytes *node, uint16_t *ret_port)
{
	bool bracket = node->len > 0 && node->data[0] == '[';
	const char *end = bracket ? memchr(node->data, ']', node->len) : NULL;
	const char *colon = end ? end + 1 : memchr(node->data, ':', node->len);
	*ret_port = 0;
	if (bracket && !end)
		return false;
	if (!colon || colon == node->data + node->len)
		return true;
	crew_bytes port = { colon + 1, (size_t)(node->data + node->len - colon) - 1 };
	node->len = (size_t)(colon - node->data);
	return *colon == ':' && read_port(port, ret_port);
}

static void set_name(struct crew__client *client, crew_bytes name)
{
	client->kind = CREW__CLIENT_UNKNOWN;
	if (!is_obfuscated(name) || name.len > CREW__CLIENT_NAME_MAX)
		return;
	client->kind = CREW__CLIENT_NAMED;
	memcpy(client->name, name.data, name.len);
	client->name[name.len] = '\0';
}

/* `bare`: an IPv6 address may stand there without brackets, as in X-Forwarded-For. What is no node
 * is an unknown one. */
static void read_node(crew_bytes node, bool bare, struct crew__client *ret_client)
{
	uint16_t port;
	*ret_client = (struct crew__client){ .kind = CREW__CLIENT_ADDRESS };
	if (bare && crew__ip_parse(node, &ret_client->address))
		return;
	ret_client->kind = CREW__CLIENT_UNKNOWN;
	if (node.len == 0 || !split_port(&node, &port) || node.len == 0)
		return;
	bool bracket = node.len > 2 && node.data[0] == '[' && node.data[node.len - 1] == ']';
	crew_bytes host = bracket ? (crew_bytes){ node.data + 1, node.len - 2 } : node;
	bool ipv6 = memchr(host.data, ':', host.len) != NULL;
	if (ipv6 == bracket && crew__ip_parse(host, &ret_client->address)) {
		ret_client->address.port = port;
		ret_client->kind = CREW__CLIENT_ADDRESS;
		return;
	}
	set_name(ret_client, node);
}

/* ---- a list of nodes, from the right ------------------------------------------------------- */

/* What is known so far of one kind of field. */
struct walk {
	const struct crew__cidrs *trusted;
	struct crew__client client;
	bool over; /* it is not a trusted proxy: nothing further left counts */
};

static void take_node(struct walk *walk, crew_bytes node, bool bare)
{
	read_node(node, bare, &walk->client);
	walk->over = walk->client.kind != CREW__CLIENT_ADDRESS ||
		     !crew__cidrs_hold(walk->trusted, &walk->client.address);
}

/* Empty elements are none (RFC 9110 section 5.6.1). */
static void walk_plain(struct walk *walk, crew_bytes value)
{
	while (value.len > 0 && !walk->over) {
		const char *comma = memrchr(value.data, ',', value.len);
		size_t at = comma ? (size_t)(comma - value.data) + 1 : 0;
		crew_bytes node = crew__http_trim((crew_bytes){ value.data + at, value.len - at });
		value.len = comma ? at - 1 : 0;
		if (node.len > 0)
			take_node(walk, node, true);
	}
}

/* ---- Forwarded ----------------------------------------------------------------------------- */

/* The elements of one field, each by the node of its `for`; without one: no bytes. */
struct elements {
	crew_bytes nodes[ELEMENTS_MOST];
	size_t count;
};

static size_t skip_spaces(crew_bytes text, size_t at)
{
	while (at < text.len && crew__http_is_space(text.data[at]))
		at++;
	return at;
}

static size_t token_end(crew_bytes text, size_t at)
{
	return at + crew__http_token_span((crew_bytes){ text.data + at, text.len - at });
}

/* A quoted string at `at`. No node needs an escape, so one with a backslash is left as it stands
 * and is then no node. Returns what is behind it, 0 when it does not end. */
static size_t read_quoted(crew_bytes text, size_t at, crew_bytes *ret_value)
{
	size_t begin = ++at;
	while (at < text.len && text.data[at] != '"')
		at += text.data[at] == '\\' ? 2 : 1;
	if (at >= text.len)
		return 0;
	*ret_value = (crew_bytes){ text.data + begin, at - begin };
	return at + 1;
}

/* token "=" ( token / quoted-string ). Returns what is behind it, 0 when it is none. */
static size_t read_pair(crew_bytes text, size_t at, crew_bytes *ret_name, crew_bytes *ret_value)
{
	size_t end = token_end(text, at);
	if (end == at || end >= text.len || text.data[end] != '=')
		return 0;
	*ret_name = (crew_bytes){ text.data + at, end - at };
	at = end + 1;
	if (at < text.len && text.data[at] == '"')
		return read_quoted(text, at, ret_value);
	end = token_end(text, at);
	*ret_value = (crew_bytes){ text.data + at, end - at };
	return end > at ? end : 0;
}

/* A pair of an element: each name once (section 4). */
static bool note_pair(crew_bytes name, crew_bytes value, unsigned *seen, crew_bytes *ret_node)
{
	static const char *const names[] = { "for", "by", "host", "proto" };
	for (unsigned i = 0; i < crew__lengthof(names); i++) {
		if (!crew__http_same_word(name, names[i]))
			continue;
		if (*seen & 1u << i)
			return false;
		*seen |= 1u << i;
		if (i == 0)
			*ret_node = value;
	}
	return true;
}

/* One element: pairs, perhaps none, with `;` between them. Returns where it ends: at a comma or the
 * field's end. SIZE_MAX: it is none. */
static size_t read_element(crew_bytes text, size_t at, crew_bytes *ret_node)
{
	unsigned seen = 0;
	bool between = true;
	*ret_node = (crew_bytes){ NULL, 0 };
	for (;;) {
		crew_bytes name, value;
		at = skip_spaces(text, at);
		if (at == text.len || text.data[at] == ',')
			return at;
		if (text.data[at] == ';') {
			between = true;
			at++;
			continue;
		}
		at = between ? read_pair(text, at, &name, &value) : 0;
		if (at == 0 || !note_pair(name, value, &seen, ret_node))
			return SIZE_MAX;
		between = false;
	}
}

static bool read_elements(crew_bytes text, struct elements *ret_elements)
{
	size_t at = 0;
	ret_elements->count = 0;
	for (;;) {
		at = skip_spaces(text, at);
		if (at == text.len)
			return true;
		if (text.data[at] == ',') {
			at++;
			continue;
		}
		if (ret_elements->count == ELEMENTS_MOST)
			return false;
		at = read_element(text, at, &ret_elements->nodes[ret_elements->count++]);
		if (at == SIZE_MAX)
			return false;
	}
}

/* A field that cannot be read as a whole says nothing certain about its end either: a quote that
 * its left part leaves open swallows what a proxy put behind it. */
static void walk_forwarded(struct walk *walk, crew_bytes value)
{
	struct elements elements;
	if (!read_elements(value, &elements)) {
		walk->client = (struct crew__client){ .kind = CREW__CLIENT_UNKNOWN };
		walk->over = true;
		return;
	}
	while (elements.count > 0 && !walk->over)
		take_node(walk, elements.nodes[--elements.count], false);
}

/* ---- both ---------------------------------------------------------------------------------- */

/* Several fields of a name are one list (RFC 9110 section 5.3): the last is its right end. */
static struct crew__client walk_fields(const crew_header *fields, size_t count, const char *name,
	const struct crew__cidrs *trusted, void (*step)(struct walk *walk, crew_bytes value))
{
	struct walk walk = { .trusted = trusted };
	while (count-- > 0 && !walk.over)
		if (crew__http_same_word(fields[count].name, name))
			step(&walk, fields[count].value);
	return walk.client;
}

static bool agree(const struct crew__client *a, const struct crew__client *b)
{
	return a->kind == CREW__CLIENT_ADDRESS && b->kind == CREW__CLIENT_ADDRESS &&
	       a->address.family == b->address.family &&
	       memcmp(a->address.ip, b->address.ip, sizeof(a->address.ip)) == 0;
}

void crew__forwarded_client(const crew_header *fields, size_t count,
	const struct crew__cidrs *trusted, struct crew__client *ret_client)
{
	struct crew__client old = walk_fields(
		fields, count, "X-Forwarded-For", trusted, walk_plain);
	struct crew__client client = walk_fields(
		fields, count, "Forwarded", trusted, walk_forwarded);
	bool both = old.kind != CREW__CLIENT_NOT_TOLD && client.kind != CREW__CLIENT_NOT_TOLD;
	if (both && !agree(&old, &client))
		client = (struct crew__client){ .kind = CREW__CLIENT_UNKNOWN };
	else if (client.kind == CREW__CLIENT_NOT_TOLD)
		client = old;
	*ret_client = client;
}
