/* dial_words.c - what a dial tells those who waited for it: whom it could not reach, why, and what
 * may help. No password ever stands in a sentence. */
#include "net/dial.h"

#include "net/address.h"
#include "net/dial_parts.h"

#include <stdio.h>
#include <string.h>

enum {
	TARGET_MAX = 320
};

size_t crew__dial_target(const char *host, uint16_t port, char *text, size_t size)
{
	int length = snprintf(text, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
	return length < 0 ? 0 : (size_t)length;
}

/* Who is connected to first: the peer, or the proxy on the way. */
static void say_target(const struct crew__dial *dial, char text[TARGET_MAX])
{
	size_t before = 0;
	if (dial->unix_path) {
		snprintf(text, TARGET_MAX, "the Unix socket %s", dial->unix_path);
		return;
	}
	if (dial->proxy)
		before = (size_t)snprintf(text, TARGET_MAX, "the proxy ");
	crew__dial_target(dial->proxy ? dial->proxy->host : dial->host,
		dial->proxy ? dial->proxy->port : dial->port, text + before, TARGET_MAX - before);
}

static const char *advice(const struct crew__dial *dial, int error)
{
	switch (error) {
	case -ECONNREFUSED:
		return "; nobody listens there, or a firewall refuses";
	case -ETIMEDOUT:
		return "; is the address right, and does a firewall drop it?";
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		return "; this machine, or a router on the way, knows no way there";
	case -EAFNOSUPPORT:
		return "; this machine has none of that kind of address";
	case -EADDRNOTAVAIL:
		return dial->local.any.sa_family == AF_UNSPEC
			       ? "; all local ports to there are in use"
			       : "; the local address must be one of this machine, and of the same "
				 "family";
	case -EMFILE:
	case -ENFILE:
		return "; raise the limit of open files";
	case -ENOENT:
		return "; is the program that serves it running?";
	case -EACCES:
	case -EPERM:
		return dial->unix_path ? "; its mode does not let this user in"
				       : "; a rule of this machine forbids it";
	default:
		return "";
	}
}

/* " (10.0.0.1:443)" where the name that was told does not tell. */
static void say_address(
	const union crew__dial_address *address, const char *told, char *text, size_t size)
{
	struct crew__record_address record;
	char numeric[64];
	text[0] = '\0';
	if (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6)
		return;
	crew__address_record(&address->any, &record);
	crew__address_text(&record, numeric, sizeof(numeric));
	if (!strstr(told, numeric))
		snprintf(text, size, " (%s)", numeric);
}

void crew__dial_say_unresolved(
	const struct crew__dial *dial, const char *why, char text[CREW__DIAL_WHY_MAX])
{
	snprintf(text, CREW__DIAL_WHY_MAX, "cannot resolve %s%.253s: %s",
		dial->proxy ? "the proxy " : "", dial->proxy ? dial->proxy->host : dial->host, why);
}

void crew__dial_say_unconnected(const struct crew__dial *dial, char text[CREW__DIAL_WHY_MAX])
{
	char target[TARGET_MAX], address[80];
	say_target(dial, target);
	say_address(&dial->failed, target, address, sizeof(address));
	snprintf(text, CREW__DIAL_WHY_MAX, "cannot connect to %s: %s%s%s", target,
		strerror(-dial->error), address, advice(dial, dial->error));
}

/* What it was at when the time was up. */
void crew__dial_say_late(const struct crew__dial *dial, char text[CREW__DIAL_WHY_MAX])
{
	const struct crew__dial_attempt *oldest = crew__race_oldest(dial);
	unsigned long long ms = dial->timeout_ms;
	char target[TARGET_MAX], address[80] = "";
	say_target(dial, target);
	if (dial->state == CREW__DIAL_TALKING) {
		snprintf(text, CREW__DIAL_WHY_MAX, "%s did not answer within %llu ms", target, ms);
	} else if (dial->state == CREW__DIAL_RESOLVING && dial->count == 0) {
		crew__dial_say_unresolved(dial, "the name servers do not answer", text);
	} else if (dial->unix_path) {
		snprintf(text, CREW__DIAL_WHY_MAX,
			"cannot connect to %s within %llu ms: too many wait to be accepted there",
			target, ms);
	} else {
		say_address(oldest ? &oldest->address : &dial->failed, target, address,
			sizeof(address));
		snprintf(text, CREW__DIAL_WHY_MAX, "cannot connect to %s within %llu ms: %s%s%s",
			target, ms, oldest || !dial->error ? "no answer" : strerror(-dial->error),
			address,
			oldest || !dial->error ? advice(dial, -ETIMEDOUT)
					       : advice(dial, dial->error));
	}
}

void crew__dial_say_proxy(
	const struct crew__dial *dial, const char *what, char text[CREW__DIAL_WHY_MAX])
{
	char target[TARGET_MAX];
	say_target(dial, target);
	snprintf(text, CREW__DIAL_WHY_MAX, "%s %s", target, what);
}
