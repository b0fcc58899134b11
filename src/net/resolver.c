/* resolver.c - lookups: what is asked, what has come, who is told.
 *
 * Not here: c-ares' sockets and configuration (resolver_channel.c). */
#include "net/resolver.h"

#include "net/resolver_parts.h"

#include "base/check.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum {
	FAMILIES = 2, /* IPv6 first */
	EACH_MOST = CREW__RESOLVED_MOST,
	NOTHING_MS = 3600 * 1000
};

/* What one family's query has brought. Only addresses are kept, in the order in which they came. */
struct answer {
	bool here;
	int status; /* of c-ares */
	uint32_t ttl_s;
	size_t count;
	union {
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
	} addresses[EACH_MOST];
};

/* Invariant: in resolver->lookups; `news` is in resolver->news exactly while there is something to
 * tell; `queries` of c-ares will still call back. Gone when it is stopped or told, and `queries` is
 * 0. */
struct crew__lookup {
	struct crew__node node, news;
	struct crew__resolver *resolver;
	crew__resolved_fn *fn; /* NULL: stopped */
	void *arg;
	uint16_t port;
	unsigned queries;
	int error; /* found without asking; 0 */
	const char *why;
	struct answer answers[FAMILIES];
};

struct crew__resolver {
	struct crew__loop *loop;
	struct crew__channel channel;
	char *servers, *resolv_conf;
	/* c-ares' time, or at once when there is news. It always runs, so that it can be set again
	 * without memory. */
	struct crew__timer timer;
	struct crew__turn_hook hook;
	struct crew__node lookups, news, graves;
	struct crew__channel_sockets *old_sockets; /* until the turn's end */
	size_t wanted;                             /* lookups that somebody waits for */
	bool ending;
};

/* ---- when ---------------------------------------------------------------------------------- */

static void arm(struct crew__resolver *resolver)
{
	uint64_t due_ns = crew__loop_ns(resolver->loop);
	if (crew__list_empty(&resolver->news)) {
		uint64_t nothing_ns = due_ns + NOTHING_MS * CREW__NS_PER_MS;
		uint64_t ares_ns = crew__channel_due(&resolver->channel);
		due_ns = ares_ns < nothing_ns ? ares_ns : nothing_ns;
	}
	crew__timer_start(resolver->loop, &resolver->timer, due_ns);
}

/* ---- what came of it ----------------------------------------------------------------------- */

static const struct {
	int status, error;
	const char *why;
} meanings[] = {
	/* The most telling first, when the families' answers differ. */
	{ ARES_ENOMEM, -ENOMEM, "out of memory" },
	{ ARES_ETIMEOUT, -ETIMEDOUT, "the name servers do not answer" },
	/* What c-ares says as well when the last of them answered SERVFAIL. */
	{ ARES_ECONNREFUSED, -EAGAIN, "the name servers failed, or cannot be reached" },
	{ ARES_ESERVFAIL, -EAGAIN, "the name servers failed" },
	{ ARES_EREFUSED, -EAGAIN, "the name servers refuse to answer" },
	{ ARES_ENOTIMP, -EAGAIN, "the name servers do not know how" },
	{ ARES_EFORMERR, -EAGAIN, "the name servers do not understand the question" },
	{ ARES_EBADRESP, -EAGAIN, "the name servers' answer is damaged" },
	{ ARES_ENODATA, -ENOENT, "it has no address" }, { ARES_ENOTFOUND, -ENOENT, "no such name" },
	{ ARES_EBADNAME, -ENOENT, "no such name" }, /* too long with a search domain behind it */
};

static size_t meaning_of(int status)
{
	size_t at = 0;
	while (at < crew__lengthof(meanings) && meanings[at].status != status)
		at++;
	return at;
}

static void set_error(const struct crew__lookup *lookup, struct crew__resolved *resolved)
{
	size_t ipv6 = meaning_of(lookup->answers[0].status);
	size_t ipv4 = meaning_of(lookup->answers[1].status);
	size_t best = crew__min(ipv6, ipv4);
	bool known = best < crew__lengthof(meanings);
	resolved->error = known ? meanings[best].error : -EIO;
	resolved->why = known ? meanings[best].why : ares_strerror(lookup->answers[1].status);
}

static void add_addresses(const struct crew__lookup *lookup, const struct answer *answer,
	size_t most, struct crew__resolved *resolved)
{
	for (size_t i = 0; i < answer->count && i < most; i++) {
		struct sockaddr_storage *to = &resolved->addresses[resolved->count++];
		memset(to, 0, sizeof(*to));
		memcpy(to, &answer->addresses[i], sizeof(answer->addresses[i]));
		if (to->ss_family == AF_INET6)
			((struct sockaddr_in6 *)(void *)to)->sin6_port = htons(lookup->port);
		else
			((struct sockaddr_in *)(void *)to)->sin_port = htons(lookup->port);
	}
	if (answer->count > 0 && answer->ttl_s < resolved->ttl_s)
		resolved->ttl_s = answer->ttl_s;
}

static void gather(const struct crew__lookup *lookup, struct crew__resolved *resolved)
{
	size_t half = CREW__RESOLVED_MOST / 2;
	size_t ipv6 = lookup->answers[0].count, ipv4 = lookup->answers[1].count;
	resolved->error = lookup->error;
	resolved->why = lookup->why;
	resolved->count = 0;
	resolved->ttl_s = UINT32_MAX;
	if (lookup->error)
		return;
	add_addresses(
		lookup, &lookup->answers[0], CREW__RESOLVED_MOST - crew__min(ipv4, half), resolved);
	add_addresses(
		lookup, &lookup->answers[1], CREW__RESOLVED_MOST - crew__min(ipv6, half), resolved);
	if (resolved->count == 0)
		set_error(lookup, resolved);
}

/* ---- telling ------------------------------------------------------------------------------- */

static void release(struct crew__lookup *lookup)
{
	if (lookup->queries > 0)
		return;
	crew__list_remove(&lookup->node);
	crew__list_remove(&lookup->news);
	free(lookup);
}

/* Nobody waits for it from now on. */
static void leave(struct crew__lookup *lookup)
{
	struct crew__resolver *resolver = lookup->resolver;
	lookup->fn = NULL;
	crew__list_remove(&lookup->news);
	resolver->wanted--;
	release(lookup);
}

static void tell(struct crew__lookup *lookup)
{
	struct crew__resolved resolved;
	crew__resolved_fn *fn = lookup->fn;
	void *arg = lookup->arg;
	bool whole = lookup->queries == 0;
	crew__must(fn != NULL);
	crew__list_remove(&lookup->news);
	gather(lookup, &resolved);
	if (whole)
		leave(lookup);
	fn(&resolved, whole, arg);
}

/* What is asked by those who are told waits for the next round. */
static void tell_news(struct crew__resolver *resolver)
{
	struct crew__node round;
	crew__list_init(&round);
	while (!crew__list_empty(&resolver->news)) {
		struct crew__node *node = resolver->news.next;
		crew__list_remove(node);
		crew__list_push(&round, node);
	}
	while (!crew__list_empty(&round))
		tell(crew__container_of(round.next, struct crew__lookup, news));
}

static void add_news(struct crew__lookup *lookup)
{
	if (lookup->fn && crew__list_empty(&lookup->news))
		crew__list_push(&lookup->resolver->news, &lookup->news);
}

static void on_processed(struct crew__channel *channel)
{
	struct crew__resolver *resolver = crew__container_of(
		channel, struct crew__resolver, channel);
	tell_news(resolver);
	arm(resolver);
}

static void on_timer(struct crew__timer *timer)
{
	struct crew__resolver *resolver = crew__container_of(timer, struct crew__resolver, timer);
	crew__timer_start(resolver->loop, timer, UINT64_MAX); /* keep its place */
	crew__channel_process(&resolver->channel);
	on_processed(&resolver->channel);
}

/* ---- asking -------------------------------------------------------------------------------- */

static void keep_addresses(struct answer *answer, const struct ares_addrinfo *found)
{
	answer->ttl_s = UINT32_MAX;
	for (const struct ares_addrinfo_node *at = found->nodes; at; at = at->ai_next) {
		if (answer->count == EACH_MOST)
			break;
		if (at->ai_family == AF_INET && at->ai_addrlen == sizeof(struct sockaddr_in))
			memcpy(&answer->addresses[answer->count++].ipv4, at->ai_addr,
				sizeof(struct sockaddr_in));
		else if (at->ai_family == AF_INET6 && at->ai_addrlen == sizeof(struct sockaddr_in6))
			memcpy(&answer->addresses[answer->count++].ipv6, at->ai_addr,
				sizeof(struct sockaddr_in6));
		else
			continue;
		if (at->ai_ttl >= 0 && (uint32_t)at->ai_ttl < answer->ttl_s)
			answer->ttl_s = (uint32_t)at->ai_ttl;
	}
	for (const struct ares_addrinfo_cname *at = found->cnames; at; at = at->next)
		if (at->ttl >= 0 && (uint32_t)at->ttl < answer->ttl_s)
			answer->ttl_s = (uint32_t)at->ttl;
}

/* From inside of c-ares, even of ares_getaddrinfo: nobody is told here. */
static void on_answer(
	struct crew__lookup *lookup, size_t family, int status, struct ares_addrinfo *found)
{
	struct answer *answer = &lookup->answers[family];
	answer->here = true;
	answer->status = status;
	lookup->queries--;
	if (status == ARES_SUCCESS && found)
		keep_addresses(answer, found);
	ares_freeaddrinfo(found);
	if (!lookup->fn)
		release(lookup);
	else if (lookup->queries == 0 || answer->count > 0)
		add_news(lookup);
}

static void on_ipv6(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
	(void)timeouts;
	on_answer(arg, 0, status, found);
}

static void on_ipv4(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
	(void)timeouts;
	on_answer(arg, 1, status, found);
}

static void ask(struct crew__lookup *lookup, const char *host)
{
	ares_channel ares = lookup->resolver->channel.ares;
	const struct ares_addrinfo_hints ipv6 = { .ai_family = AF_INET6,
		.ai_socktype = SOCK_STREAM };
	const struct ares_addrinfo_hints ipv4 = { .ai_family = AF_INET,
		.ai_socktype = SOCK_STREAM };
	lookup->queries = FAMILIES;
	ares_getaddrinfo(ares, host, NULL, &ipv6, on_ipv6, lookup);
	ares_getaddrinfo(ares, host, NULL, &ipv4, on_ipv4, lookup);
}

static void refresh(struct crew__resolver *resolver)
{
	if (!crew__list_empty(&resolver->lookups) || resolver->old_sockets)
		return;
	crew__channel_refresh(&resolver->channel, &resolver->old_sockets);
}

/* RFC 6761 section 6.3: always this machine, whatever a server may say. Not left to c-ares, which
 * forgets to free something each time (1.18). */
static bool is_localhost(const char *host)
{
	static const char name[] = "localhost";
	size_t length = strlen(host), tail = sizeof(name) - 1;
	if (length > 0 && host[length - 1] == '.')
		length--;
	return length >= tail && strncasecmp(host + length - tail, name, tail) == 0 &&
	       (length == tail || host[length - tail - 1] == '.');
}

static void answer_localhost(struct crew__lookup *lookup)
{
	lookup->answers[0].addresses[0].ipv6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
		.sin6_addr = in6addr_loopback };
	lookup->answers[1].addresses[0].ipv4 = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	for (size_t i = 0; i < FAMILIES; i++) {
		lookup->answers[i].count = 1;
		lookup->answers[i].ttl_s = UINT32_MAX;
	}
}

/* What needs no asking. */
static bool answer_at_once(struct crew__lookup *lookup, const char *host)
{
	struct sockaddr_storage address;
	if (crew__host_is_numeric(host, &address)) {
		struct answer *answer = &lookup->answers[address.ss_family == AF_INET6 ? 0 : 1];
		memcpy(&answer->addresses[0], &address, sizeof(answer->addresses[0]));
		answer->count = 1;
		answer->ttl_s = UINT32_MAX;
		return true;
	}
	if (crew__host_is_name(host)) {
		if (is_localhost(host))
			answer_localhost(lookup);
		return is_localhost(host);
	}
	lookup->error = -EINVAL;
	lookup->why = "this is no name: it has bytes or a length that none may have";
	return true;
}

struct crew__lookup *crew__resolve(struct crew__resolver *resolver, const char *host, uint16_t port,
	crew__resolved_fn *fn, void *arg)
{
	struct crew__lookup *lookup = resolver->ending ? NULL : calloc(1, sizeof(*lookup));
	if (!lookup)
		return NULL;
	refresh(resolver);
	lookup->resolver = resolver;
	lookup->fn = fn;
	lookup->arg = arg;
	lookup->port = port;
	crew__list_push(&resolver->lookups, &lookup->node);
	crew__list_init(&lookup->news);
	resolver->wanted++;
	if (answer_at_once(lookup, host))
		add_news(lookup);
	else
		ask(lookup, host);
	arm(resolver);
	return lookup;
}

void crew__lookup_stop(struct crew__lookup *lookup)
{
	struct crew__resolver *resolver = lookup->resolver;
	leave(lookup);
	if (resolver->wanted > 0 || crew__list_empty(&resolver->lookups))
		return;
	ares_cancel(resolver->channel.ares); /* only orphans are left, and they go by this */
	arm(resolver);
}

/* ---- the resolver -------------------------------------------------------------------------- */

static void bury_all(struct crew__resolver *resolver)
{
	while (!crew__list_empty(&resolver->graves)) {
		struct crew__grave *grave = crew__container_of(
			resolver->graves.next, struct crew__grave, node);
		crew__list_remove(&grave->node);
		grave->bury(grave);
	}
	crew__channel_sockets_free(resolver->old_sockets);
	resolver->old_sockets = NULL;
}

static bool on_turn_end(struct crew__turn_hook *hook)
{
	struct crew__resolver *resolver = crew__container_of(hook, struct crew__resolver, hook);
	bury_all(resolver);
	return false;
}

void crew__resolver_bury(struct crew__resolver *resolver, struct crew__grave *grave)
{
	crew__list_push(&resolver->graves, &grave->node);
}

static void free_parts(struct crew__resolver *resolver)
{
	free(resolver->servers);
	free(resolver->resolv_conf);
	free(resolver);
}

static int start(struct crew__resolver *resolver)
{
	resolver->timer.fn = on_timer;
	int error = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS ? 0 : -EIO;
	if (error)
		return error;
	error = crew__timer_start(resolver->loop, &resolver->timer, UINT64_MAX);
	if (error)
		goto cleanup_library;
	error = crew__channel_open(&resolver->channel);
	if (error)
		goto stop_timer;
	resolver->hook.fn = on_turn_end;
	crew__loop_add_hook(resolver->loop, &resolver->hook);
	return 0;

stop_timer:
	crew__timer_stop(resolver->loop, &resolver->timer);
cleanup_library:
	ares_library_cleanup();
	return error;
}

int crew__resolver_new_from(struct crew__loop *loop, const char *servers, const char *resolv_conf,
	struct crew__resolver **ret_resolver)
{
	struct crew__resolver *resolver = calloc(1, sizeof(*resolver));
	if (!resolver)
		return -ENOMEM;
	crew__list_init(&resolver->lookups);
	crew__list_init(&resolver->news);
	crew__list_init(&resolver->graves);
	resolver->loop = loop;
	resolver->servers = servers ? strdup(servers) : NULL;
	resolver->resolv_conf = strdup(resolv_conf);
	resolver->channel = (struct crew__channel){
		.loop = loop,
		.servers = resolver->servers,
		.resolv_conf = resolver->resolv_conf,
		.on_processed = on_processed,
	};
	int error = -ENOMEM;
	if (resolver->resolv_conf && (resolver->servers || !servers))
		error = start(resolver);
	if (error) {
		free_parts(resolver);
		return error;
	}
	*ret_resolver = resolver;
	return 0;
}

int crew__resolver_new(
	struct crew__loop *loop, const char *servers, struct crew__resolver **ret_resolver)
{
	return crew__resolver_new_from(loop, servers, "/etc/resolv.conf", ret_resolver);
}

/* Those who wait hear of it; whoever has been stopped goes with c-ares' last call. */
static void cancel_all(struct crew__resolver *resolver)
{
	struct crew__node *lookups = &resolver->lookups;
	for (struct crew__node *at = lookups->next; at != lookups; at = at->next) {
		struct crew__lookup *lookup = crew__container_of(at, struct crew__lookup, node);
		lookup->error = -ECANCELED;
		lookup->why = "it was given up";
	}
	ares_cancel(resolver->channel.ares);
	while (!crew__list_empty(lookups))
		tell(crew__container_of(crew__list_pop(lookups), struct crew__lookup, node));
}

void crew__resolver_free(struct crew__resolver *resolver)
{
	if (!resolver)
		return;
	resolver->ending = true;
	cancel_all(resolver);
	crew__loop_remove_hook(resolver->loop, &resolver->hook);
	crew__timer_stop(resolver->loop, &resolver->timer);
	crew__channel_close(&resolver->channel);
	bury_all(resolver);
	ares_library_cleanup();
	free_parts(resolver);
}
