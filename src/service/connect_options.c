/* connect_options.c - each option is judged by itself and against the URL; then all is copied. */
#include "service/connect_options.h"

#include "base/complaint.h"
#include "web/ws_client.h"

#include <stdio.h>

enum {
	TIMEOUT_MS = 10 * 1000,
	RETRY_MOST_MS = 30 * 1000,
	COPIES_MOST = 256 * 1024, /* more than all of it together can be */
	STRING_MOST = 4096,
	HEADERS_MOST = 16 * 1024, /* what servers take at least */
};
#define TIME_MOST_MS (INT64_C(24) * 60 * 60 * 1000)

/* ---- what it speaks ------------------------------------------------------------------------ */

static int judge_scheme(struct crew__connect_plan *plan, const struct crew__complaint *complaint)
{
	static const struct {
		const char *scheme;
		enum crew__protocol_kind kind;
	} kinds[] = {
		{ "tcp", CREW__RAW },
		{ "text", CREW__TEXT },
		{ "frame", CREW__FRAME },
		{ "ws", CREW__WS },
	};
	const char *scheme = plan->url.scheme;
	const crew_protocol *own = plan->options.service->protocol;
	if (own && (strcmp(scheme, "tcp") == 0 || (own->name && strcmp(scheme, own->name) == 0))) {
		plan->kind = CREW__CUSTOM;
		return 0;
	}
	for (size_t i = 0; i < crew__lengthof(kinds); i++) {
		if (strcmp(scheme, kinds[i].scheme) != 0)
			continue;
		if (own)
			return crew__complain(complaint, -EINVAL,
				"the service speaks a protocol of its own: write %s:// instead of "
				"%s://",
				own->name, scheme);
		plan->kind = kinds[i].kind;
		return 0;
	}
	if (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0)
		return crew__complain(complaint, -EINVAL,
			"requests are made by crew_fetch(), not by crew_connect()");
	return crew__complain(complaint, -EINVAL,
		"its scheme \"%s\" is unknown; known are tcp, text, frame, ws, wss, udp, each also "
		"with +tls and +unix, tls, unix, and the name of service->protocol",
		scheme);
}

static int judge_udp(const struct crew__connect_plan *plan, const struct crew__complaint *complaint)
{
	if (!plan->url.udp)
		return 0;
	if (plan->kind != CREW__RAW && plan->kind != CREW__CUSTOM)
		return crew__complain(complaint, -EINVAL, "%s is spoken over streams, not over udp",
			plan->url.scheme);
	if (plan->options.proxy)
		return crew__complain(
			complaint, -EINVAL, "there is no way to send udp through a proxy");
	return 0;
}

/* ---- times, TLS, strings ------------------------------------------------------------------- */

static int judge_times(crew_connect_options *o, const struct crew__complaint *complaint)
{
	const struct {
		const char *name;
		int64_t value;
	} times[] = { { "timeout_ms", o->timeout_ms }, { "retry_ms", o->retry_ms },
		{ "retry_most_ms", o->retry_most_ms } };
	for (size_t i = 0; i < crew__lengthof(times); i++)
		if (times[i].value < 0 || times[i].value > TIME_MOST_MS)
			return crew__complain(complaint, -EINVAL,
				"%s is %lld: 0 (its default) to %lld are allowed", times[i].name,
				(long long)times[i].value, (long long)TIME_MOST_MS);
	if (o->timeout_ms == 0)
		o->timeout_ms = TIMEOUT_MS;
	if (o->retry_most_ms == 0)
		o->retry_most_ms = o->retry_ms > RETRY_MOST_MS ? o->retry_ms : RETRY_MOST_MS;
	if (o->retry_most_ms < o->retry_ms)
		return crew__complain(complaint, -EINVAL,
			"retry_most_ms is %lld, less than retry_ms, which is %lld",
			(long long)o->retry_most_ms, (long long)o->retry_ms);
	return 0;
}

static int judge_tls(struct crew__connect_plan *plan, const struct crew__complaint *complaint)
{
	const crew_connect_options *o = &plan->options;
	const struct crew__url *url = &plan->url;
	if (!!o->tls_cert != !!o->tls_key)
		return crew__complain(complaint, -EINVAL,
			"tls_cert and tls_key go together: %s is missing",
			o->tls_cert ? "tls_key" : "tls_cert");
	if (!url->tls &&
		(o->tls_ca || o->tls_name || o->tls_cert || o->tls_alpn || o->tls_insecure))
		return crew__complain(complaint, -EINVAL,
			"options of TLS are set, but the scheme %s is not encrypted: write %s",
			url->scheme, strcmp(url->scheme, "ws") == 0 ? "wss" : "tls, or SCHEME+tls");
	if (!url->tls)
		return 0;
	if (o->tls_name && !o->tls_name[0])
		return crew__complain(complaint, -EINVAL, "tls_name is empty");
	if (!o->tls_name && url->unix_socket && !o->tls_insecure)
		return crew__complain(complaint, -EINVAL,
			"a Unix socket has no name that a certificate could be for: set tls_name");
	plan->tls_name = o->tls_name ? o->tls_name : url->unix_socket ? NULL : url->host;
	return 0;
}

static int judge_headers(const crew_connect_options *o, const struct crew__complaint *complaint)
{
	size_t total = 0;
	int error = crew__ws_ask_check(o->headers, o->protocols, complaint->text, complaint->size);
	for (const crew_header *h = o->headers; !error && h && h->name.data; h++)
		if (h->name.len > HEADERS_MOST || h->value.len > HEADERS_MOST ||
			(total += h->name.len + h->value.len + 4) > HEADERS_MOST)
			return crew__complain(complaint, -EINVAL,
				"headers are longer than %d bytes", HEADERS_MOST);
	return error;
}

static int judge_ws(const struct crew__connect_plan *plan, const struct crew__complaint *complaint)
{
	const crew_connect_options *o = &plan->options;
	if (plan->kind == CREW__WS)
		return judge_headers(o, complaint);
	if (o->headers || o->protocols)
		return crew__complain(
			complaint, -EINVAL, "headers and protocols are for ws and wss alone");
	return 0;
}

static int judge_rest(
	const struct crew__connect_plan *plan, const struct crew__complaint *complaint)
{
	const crew_connect_options *o = &plan->options;
	if (plan->url.unix_socket && (o->proxy || o->local))
		return crew__complain(
			complaint, -EINVAL, "proxy and local are not for Unix sockets");
	if (o->on_retry && o->retry_ms == 0)
		return crew__complain(complaint, -EINVAL,
			"on_retry is set, but retry_ms is not: nothing is retried");
	return 0;
}

/* ---- copies -------------------------------------------------------------------------------- */

static crew_header *copy_headers(struct crew__arena *a, const crew_header *headers)
{
	size_t count = 0;
	while (headers[count].name.data)
		count++;
	crew_header *copies = crew__arena_take(a, (count + 1) * sizeof(*copies));
	if (!copies)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		copies[i].name = crew__arena_copy(a, headers[i].name);
		copies[i].value = crew__arena_copy(a, headers[i].value);
		if (!copies[i].name.data || !copies[i].value.data)
			return NULL;
	}
	copies[count] = (crew_header){ { NULL, 0 }, { NULL, 0 } };
	return copies;
}

/* -E2BIG: it is longer than anything that is meant can be. */
static int copy_string(struct crew__arena *a, const char **string)
{
	if (!*string)
		return 0;
	size_t len = strnlen(*string, STRING_MOST + 1);
	if (len > STRING_MOST)
		return -E2BIG;
	*string = crew__arena_copy(a, (crew_bytes){ *string, len }).data;
	return *string ? 0 : -ENOMEM;
}

static int copy_strings(struct crew__connect_plan *plan, const struct crew__complaint *complaint)
{
	crew_connect_options *o = &plan->options;
	const struct {
		const char *name, **string;
	} strings[] = {
		{ "proxy", &o->proxy },
		{ "local", &o->local },
		{ "protocols", &o->protocols },
		{ "tls_ca", &o->tls_ca },
		{ "tls_name", &o->tls_name },
		{ "tls_cert", &o->tls_cert },
		{ "tls_key", &o->tls_key },
		{ "tls_alpn", &o->tls_alpn },
	};
	for (size_t i = 0; i < crew__lengthof(strings); i++) {
		int error = copy_string(&plan->copies, strings[i].string);
		if (error == -E2BIG)
			return crew__complain(complaint, -EINVAL, "%s is longer than %d bytes",
				strings[i].name, STRING_MOST);
		if (error)
			return error;
	}
	return 0;
}

/* Without what may be a secret: a query. (A user is refused.) */
static const char *copy_shown(struct crew__arena *a, const char *url)
{
	return crew__arena_copy(a, (crew_bytes){ url, strcspn(url, "?") }).data;
}

static int copy_all(
	struct crew__connect_plan *plan, const char *url, const struct crew__complaint *complaint)
{
	struct crew__arena *a = &plan->copies;
	int error = copy_strings(plan, complaint);
	if (error)
		return error;
	plan->text = copy_shown(a, url);
	if (plan->kind == CREW__WS) {
		plan->url.target = crew__arena_copy(a, plan->url.target);
		if (!plan->url.target.data)
			return -ENOMEM;
	}
	if (plan->text && plan->options.headers) {
		plan->options.headers = copy_headers(a, plan->options.headers);
		if (!plan->options.headers)
			return -ENOMEM;
	}
	return plan->text ? 0 : -ENOMEM;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int judge(struct crew__connect_plan *plan, const struct crew__complaint *complaint)
{
	int error = judge_scheme(plan, complaint);
	if (!error)
		error = judge_udp(plan, complaint);
	if (!error)
		error = judge_times(&plan->options, complaint);
	if (!error)
		error = judge_ws(plan, complaint);
	return error ? error : judge_rest(plan, complaint);
}

int crew__connect_plan_init(struct crew__connect_plan *plan, const char *url,
	const crew_connect_options *options, char *ret_error, size_t error_size)
{
	const struct crew__complaint complaint = { ret_error, error_size };
	if (!url || !options || !options->service)
		return crew__complain(
			&complaint, -EINVAL, "the URL, the options or options->service is NULL");
	*plan = (struct crew__connect_plan){ .options = *options, .copies.max = COPIES_MOST };
	int error = crew__url_parse(url, &plan->url, ret_error, error_size);
	if (!error)
		error = judge(plan, &complaint);
	if (!error)
		error = copy_all(plan, url, &complaint);
	if (!error)
		error = judge_tls(plan, &complaint);
	if (error)
		crew__connect_plan_fini(plan);
	return error;
}

void crew__connect_plan_fini(struct crew__connect_plan *plan)
{
	crew__arena_release(&plan->copies);
}
