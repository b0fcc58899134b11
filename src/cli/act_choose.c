/* act_choose.c - whom a kick means: the beginning of an id, an address, a verdict.
 *
 * An address is brought into the form in which records are shown and compared as text, so that
 * `::ffff:127.0.0.1` and `[::1]` mean what they would mean to the kernel. */
#include "cli/act.h"

#include "base/nearest.h"
#include "cli/connections.h"
#include "net/address.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIX "unix:"

enum {
	NAMED_MOST = 16, /* candidates that are listed */
	HOST_MAX = 80,
	PORT_MAX_DIGITS = 5
};

/* ---- addresses ----------------------------------------------------------------------------- */

/* How a peer is shown: all of it, or (whole false) its beginning, any port. */
struct peer {
	char text[CREW__ADDRESS_TEXT_MAX];
	bool whole;
};

/* HOST, HOST:PORT, [HOST]:PORT; an address with two colons and no bracket has no port. */
static bool split(const char *text, char host[HOST_MAX], const char **ret_port)
{
	const char *begin = text, *end = text + strlen(text), *port = NULL;
	const char *colon = strchr(text, ':');
	if (text[0] == '[') {
		begin = text + 1;
		end = strchr(text, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return false;
		port = end[1] == ':' ? end + 2 : NULL;
	} else if (colon && !strchr(colon + 1, ':')) {
		end = colon;
		port = colon + 1;
	}
	if (end - begin >= HOST_MAX)
		return false;
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = '\0';
	*ret_port = port;
	return true;
}

static bool read_port(const char *text, uint16_t *ret_port)
{
	size_t digits = strspn(text, "0123456789");
	long port = digits > 0 && digits <= PORT_MAX_DIGITS ? strtol(text, NULL, 10) : -1;
	if (text[digits] != '\0' || port < 0 || port > UINT16_MAX)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

static bool read_ipv6(char *host, uint16_t port, struct crew__record_address *ret_record)
{
	struct sockaddr_in6 socket = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	char *scope = strchr(host, '%');
	if (scope) {
		*scope++ = '\0';
		bool number = scope[0] && !scope[strspn(scope, "0123456789")];
		socket.sin6_scope_id = number ? (uint32_t)strtoul(scope, NULL, 10)
					      : if_nametoindex(scope);
		if (socket.sin6_scope_id == 0)
			return false;
	}
	if (inet_pton(AF_INET6, host, &socket.sin6_addr) != 1)
		return false;
	crew__address_record((const struct sockaddr *)&socket, ret_record);
	return true;
}

static bool read_host(char *host, uint16_t port, struct crew__record_address *ret_record)
{
	struct sockaddr_in socket = { .sin_family = AF_INET, .sin_port = htons(port) };
	if (inet_pton(AF_INET, host, &socket.sin_addr) != 1)
		return read_ipv6(host, port, ret_record);
	crew__address_record((const struct sockaddr *)&socket, ret_record);
	return true;
}

static bool read_peer(const char *text, struct peer *ret_peer)
{
	struct crew__record_address record;
	char host[HOST_MAX];
	const char *port_text;
	uint16_t port = 0;
	struct peer peer = { .whole = true };
	const char *name = strncmp(text, UNIX, strlen(UNIX)) == 0 ? text + strlen(UNIX) : NULL;
	if (name && (name[0] == '\0' || name[0] == '@') && strlen(text) < sizeof(peer.text)) {
		/* Without a name it is all of them, those with a name too. */
		peer.whole = name[0] != '\0';
		memcpy(peer.text, text, strlen(text) + 1);
		*ret_peer = peer;
		return true;
	}
	if (!split(text, host, &port_text) || (port_text && !read_port(port_text, &port)) ||
		!read_host(host, port, &record))
		return false;
	size_t length = crew__address_text(&record, peer.text, sizeof(peer.text));
	if (length >= sizeof(peer.text))
		return false;
	/* It ends with the port, 0, which is any. */
	if (!port_text) {
		peer.text[length - 1] = '\0';
		peer.whole = false;
	}
	*ret_peer = peer;
	return true;
}

static bool is_peer(const struct crew__connection *row, const struct peer *peer)
{
	return peer->whole ? strcmp(row->remote, peer->text) == 0
			   : strncmp(row->remote, peer->text, strlen(peer->text)) == 0;
}

/* ---- choosing ------------------------------------------------------------------------------ */

/* What was asked for; one of the three. */
struct wish {
	const char *prefix;  /* of an id */
	const char *verdict; /* as the rows have it: the very string */
	struct peer peer;
};

static bool means(const struct wish *wish, const struct crew__connection *row)
{
	if (wish->prefix)
		return crew__id_has_prefix(row->id, wish->prefix);
	if (wish->verdict)
		return row->verdict && strcmp(row->verdict, wish->verdict) == 0;
	return is_peer(row, &wish->peer);
}

static int read_verdict(const char *text, struct wish *wish, char *ret_error, size_t error_size)
{
	const char *nearest = NULL;
	size_t best = SIZE_MAX;
	int length;
	for (crew_verdict v = CREW_VERDICT_NONE + 1; v < CREW_VERDICTS; v++) {
		if (strcmp(crew_verdict_name(v), text) == 0) {
			wish->verdict = text;
			return 0;
		}
		if (crew__nearer(text, crew_verdict_name(v), &best))
			nearest = crew_verdict_name(v);
	}
	length = snprintf(ret_error, error_size, "\"%.64s\" is no verdict; ", text);
	if (length < 0 || (size_t)length >= error_size)
		return -EINVAL;
	if (nearest)
		snprintf(ret_error + length, error_size - (size_t)length, "did you mean \"%s\"?",
			nearest);
	else
		snprintf(ret_error + length, error_size - (size_t)length,
			"`connections` shows those there are, such as reader-stalled");
	return -EINVAL;
}

static int read_wish(const char *argument, const char *verdict, struct wish *ret_wish,
	char *ret_error, size_t error_size)
{
	*ret_wish = (struct wish){ 0 };
	if (verdict)
		return read_verdict(verdict, ret_wish, ret_error, error_size);
	if (crew__id_prefix_valid(argument)) {
		ret_wish->prefix = argument;
		return 0;
	}
	if (read_peer(argument, &ret_wish->peer))
		return 0;
	snprintf(ret_error, error_size,
		"\"%.80s\" is neither an id (up to 16 hex digits, as `connections` shows it) nor an "
		"address such as 192.0.2.1, 192.0.2.1:5678, [::1] or unix:",
		argument);
	return -EINVAL;
}

static void explain_nobody(
	const char *argument, const struct wish *wish, char *ret_error, size_t error_size)
{
	if (wish->prefix)
		snprintf(ret_error, error_size,
			"no connection has an id that begins with %s; see `connections`", argument);
	else if (wish->verdict)
		snprintf(ret_error, error_size, "no connection has the verdict %s", wish->verdict);
	else
		snprintf(ret_error, error_size, "no connection comes from %.80s", argument);
}

static void explain_many(const struct crew__connections *all, const struct wish *wish, size_t count,
	char *ret_error, size_t error_size)
{
	size_t named = 0;
	int used = snprintf(ret_error, error_size,
		"%zu connections have an id that begins with %s; give more of the one that is meant:",
		count, wish->prefix);
	for (size_t i = 0; i < all->count && named <= NAMED_MOST; i++) {
		const struct crew__connection *row = &all->rows[i];
		if (!means(wish, row))
			continue;
		if (used < 0 || (size_t)used >= error_size)
			return;
		if (named++ == NAMED_MOST)
			snprintf(ret_error + used, error_size - (size_t)used, "\n  ...");
		else
			used += snprintf(ret_error + used, error_size - (size_t)used,
				"\n  %016" PRIx64 "  %s  %s", row->id, row->service, row->remote);
	}
}

static int compare_ids(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
	return a < b ? -1 : a > b;
}

static int take(const struct crew__connections *all, const struct wish *wish,
	struct crew__chosen *ret_chosen)
{
	struct crew__chosen chosen = { .ids = calloc(all->count + 1, sizeof(uint64_t)) };
	if (!chosen.ids)
		return -ENOMEM;
	for (size_t i = 0; i < all->count; i++)
		if (means(wish, &all->rows[i]))
			chosen.ids[chosen.count++] = all->rows[i].id;
	qsort(chosen.ids, chosen.count, sizeof(uint64_t), compare_ids);
	*ret_chosen = chosen;
	return 0;
}

static int choose(const struct crew__connections *all, const char *argument,
	const struct wish *wish, struct crew__chosen *ret_chosen, char *ret_error,
	size_t error_size)
{
	struct crew__chosen chosen;
	int error = take(all, wish, &chosen);
	if (error) {
		snprintf(ret_error, error_size, "no memory for the connections");
		return error;
	}
	if (chosen.count == 0) {
		explain_nobody(argument, wish, ret_error, error_size);
		error = -ENOENT;
	} else if (wish->prefix && chosen.count > 1) {
		explain_many(all, wish, chosen.count, ret_error, error_size);
		error = -ENOTUNIQ;
	}
	if (error)
		free(chosen.ids);
	else
		*ret_chosen = chosen;
	return error;
}

int crew__act_choose(const struct crew__attached *attached, const char *argument,
	const char *verdict, struct crew__chosen *ret_chosen, char *ret_error, size_t error_size)
{
	struct crew__connections all;
	struct wish wish;
	int error = read_wish(argument, verdict, &wish, ret_error, error_size);
	if (error)
		return error;
	error = crew__connections_new(attached, &all);
	if (error) {
		snprintf(ret_error, error_size, "no memory for the connections");
		return error;
	}
	error = choose(&all, argument, &wish, ret_chosen, ret_error, error_size);
	crew__connections_fini(&all);
	return error;
}

/* ---- looking again ------------------------------------------------------------------------- */

/* All ids that there are, in ascending order. */
static int present_ids(const struct crew__attached *attached, struct crew__chosen *ret_present)
{
	struct crew__chosen present = { 0 };
	for (size_t s = 0; s < attached->segment_count; s++) {
		size_t count;
		struct crew__conn_snapshot *found = crew__segment_connections(
			&attached->segments[s], &count);
		uint64_t *ids = found || count == 0
					? reallocarray(present.ids, present.count + count + 1,
						  sizeof(*ids))
					: NULL;
		if (!ids) {
			free(found);
			free(present.ids);
			return -ENOMEM;
		}
		present.ids = ids;
		for (size_t i = 0; i < count; i++)
			present.ids[present.count++] = atomic_load_explicit(
				&found[i].hot.id, memory_order_relaxed);
		free(found);
	}
	if (present.count > 0)
		qsort(present.ids, present.count, sizeof(uint64_t), compare_ids);
	*ret_present = present;
	return 0;
}

int crew__act_still_there(const struct crew__attached *attached, struct crew__chosen *chosen,
	struct crew__chosen *ret_gone)
{
	struct crew__chosen present, gone = { .ids = calloc(chosen->count + 1, sizeof(uint64_t)) };
	size_t left = 0;
	int error = gone.ids ? present_ids(attached, &present) : -ENOMEM;
	if (error) {
		free(gone.ids);
		return error;
	}
	for (size_t i = 0; i < chosen->count; i++) {
		uint64_t id = chosen->ids[i];
		bool is_there = present.count > 0 && bsearch(&id, present.ids, present.count,
							     sizeof(uint64_t), compare_ids);
		if (is_there)
			chosen->ids[left++] = id;
		else
			gone.ids[gone.count++] = id;
	}
	chosen->count = left;
	free(present.ids);
	*ret_gone = gone;
	return 0;
}
