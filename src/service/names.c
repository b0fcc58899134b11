/* names.c - the resolver of a process, and the kinds of proxies. */
#include "service/names.h"

#include "base/log.h"
#include "proto/http_connect.h"
#include "proto/socks5.h"
#include "service/inner.h"

static struct {
	struct crew__resolver *resolver;
	struct crew__log_rate log;
} names;

const struct crew__preamble *const crew__preambles[] = { &crew__socks5, &crew__http_connect, NULL };

struct crew__resolver *crew__worker_resolver(crew_worker *w)
{
	char left_out[CREW__LEFT_OUT_MAX];
	if (names.resolver)
		return names.resolver;
	int error = crew__resolver_new(w->plan.loop, w->plan.dns_servers, &names.resolver);
	if (error && crew__log_may(&names.log, 1, left_out))
		crew__log(CREW_ERROR, "no name can be resolved: %s: %s%s",
			w->plan.dns_servers ? "[crew] dns_servers" : "/etc/resolv.conf",
			strerror(-error), left_out);
	return names.resolver;
}

void crew__names_free(void)
{
	crew__resolver_free(names.resolver);
	names.resolver = NULL;
}
