/* tls.c - TLS of a worker: sets of certificates that come, are checked and put in force.
 *
 * A set that is not sound changes nothing. Its expiry is shown in shared memory, and warned of in
 * the log while there is time. */
#include "service/tls.h"

#include "base/clock.h"
#include "base/log.h"
#include "service/inner.h"
#include "stats/rings.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	DAY_S = 24 * 3600,
	WARN_DAYS = 14,
	ERROR_MAX = 1024,
	DATE_MAX = 32
};

struct crew__worker_tls {
	crew_worker *worker;
	struct crew__timer daily;
};

/* ---- secrets ------------------------------------------------------------------------------- */

int crew__tls_secret_new(struct crew__tls_secret *secret)
{
	secret->epoch = crew__tls_epoch() - 1;
	return RAND_bytes(secret->bytes, sizeof(secret->bytes)) == 1 ? 0 : -EIO;
}

void crew__tls_secret_advance(struct crew__tls_secret *secret)
{
	for (uint64_t wanted = crew__tls_epoch() - 1; secret->epoch < wanted; secret->epoch++)
		crew__tls_secret_step(secret->bytes);
}

/* ---- making -------------------------------------------------------------------------------- */

static bool speaks_http(const struct crew__service_settings *settings)
{
	const char *listen = settings->listen ? settings->listen : "";
	listen += strspn(listen, " \t");
	return !settings->service->protocol &&
	       (strncmp(listen, "http", 4) == 0 || strncmp(listen, "ws", 2) == 0);
}

static enum crew__tls_client client_of(const struct crew__service_settings *settings)
{
	switch (settings->tls_client) {
	case CREW__TLS_CLIENTS_REQUIRED:
		return CREW__TLS_CLIENT_REQUIRED;
	case CREW__TLS_CLIENTS_OPTIONAL:
		return CREW__TLS_CLIENT_OPTIONAL;
	default:
		return CREW__TLS_CLIENT_OFF;
	}
}

static int make(const struct crew__service_settings *settings, const struct crew__tls_files *files,
	const struct crew__tls_secret *secret, struct crew__tls_context **ret_context,
	char *ret_error, size_t error_size)
{
	const char *alpn = settings->tls_alpn;
	const struct crew__tls_server_plan plan = {
		.pairs = files->pairs,
		.count = files->count,
		.client_ca = files->client_ca,
		.client_ca_name = files->client_ca_name ? files->client_ca_name : "tls_client_ca",
		.client = client_of(settings),
		.least_version = settings->tls_min == CREW__TLS_MIN_1_3 ? TLS1_3_VERSION
									: TLS1_2_VERSION,
		.alpn = alpn || !speaks_http(settings) ? alpn : "http/1.1",
		.ticket_secret = { secret ? (const char *)secret->bytes : NULL,
			secret ? sizeof(secret->bytes) : 0 },
		.ticket_epoch = secret ? secret->epoch : 0,
		.ktls = settings->ktls != 0,
	};
	return crew__tls_server_new(&plan, ret_context, ret_error, error_size);
}

static int make_from(const struct crew__service_settings *settings, int files_fd,
	const struct crew__tls_secret *secret, struct crew__tls_context **ret_context,
	char *ret_error, size_t error_size)
{
	struct crew__tls_files files;
	int status = crew__tls_files_open(files_fd, &files);
	if (status < 0) {
		snprintf(ret_error, error_size, "the certificates that were read make no sense: %s",
			strerror(-status));
		return status;
	}
	status = make(settings, &files, secret, ret_context, ret_error, error_size);
	crew__tls_files_fini(&files);
	return status;
}

int crew__tls_check(
	const struct crew__service_settings *settings, char *ret_error, size_t error_size)
{
	int fd;
	struct crew__tls_context *context;
	int status = crew__tls_files_read(settings, &fd, ret_error, error_size);
	if (status < 0)
		return status;
	status = make_from(settings, fd, NULL, &context, ret_error, error_size);
	close(fd);
	if (status == 0)
		crew__tls_context_unref(context);
	return status;
}

int crew__tls_check_all(const struct crew__settings *settings, char *ret_error, size_t error_size)
{
	for (unsigned i = 0; i < settings->services; i++) {
		char why[ERROR_MAX];
		const struct crew__service_settings *service = &settings->service[i];
		int status = crew__service_speaks_tls(service)
				     ? crew__tls_check(service, why, sizeof(why))
				     : 0;
		if (status < 0) {
			snprintf(ret_error, error_size, "service %s cannot speak TLS: %s",
				service->service->name, why);
			return status;
		}
	}
	return 0;
}

/* ---- in force ------------------------------------------------------------------------------ */

static const char *date_text(time_t when, char text[DATE_MAX])
{
	struct tm parts;
	gmtime_r(&when, &parts);
	strftime(text, DATE_MAX, "%Y-%m-%d %H:%M UTC", &parts);
	return text;
}

/* One worker of a service speaks for all. */
static void warn_of_expiry(const crew_worker *w)
{
	char date[DATE_MAX];
	const struct crew__tls_context *context = w->net.tls;
	time_t now = time(NULL), expires = context ? crew__tls_expires(context) : 0;
	if (w->id != 0 || expires == 0 || expires - now >= WARN_DAYS * DAY_S)
		return;
	const char *name = crew__tls_expires_name(context);
	date_text(expires, date);
	if (expires <= now)
		crew__log(CREW_ERROR,
			"%s: the certificate in %s has expired (%s), clients refuse it; write a new "
			"one there, with its key",
			w->service->name, name, date);
	else
		crew__log(CREW_WARN,
			"%s: the certificate in %s expires in %lld days (%s); write a new one there, "
			"with its key",
			w->service->name, name, (long long)((expires - now) / DAY_S), date);
}

static void begin_day(struct crew__worker_tls *tls)
{
	struct crew__loop *loop = tls->worker->plan.loop;
	uint64_t due = crew__loop_ns(loop) + (uint64_t)DAY_S * CREW__NS_PER_S;
	/* Without memory for the timer a warning is missing, and the metric still tells. */
	(void)crew__timer_start(loop, &tls->daily, due);
}

static void on_daily(struct crew__timer *timer)
{
	struct crew__worker_tls *tls = crew__container_of(timer, struct crew__worker_tls, daily);
	warn_of_expiry(tls->worker);
	begin_day(tls);
}

/* What is shown is what is done; connections tell it themselves later (net/tls_kernel.c). */
static const char *why_no_ktls(const crew_worker *w)
{
	if (!w->settings->ktls)
		return "the setting ktls is off";
	const char *why_not = crew__ktls_why_not();
	if (why_not)
		return why_not;
	return w->net.table->by_kernel > 0 ? "" : crew__ktls_unused;
}

static void show(const crew_worker *w)
{
	struct crew__tls_shown *shown = w->net.stats.tls;
	if (!shown)
		return;
	snprintf(shown->ktls, sizeof(shown->ktls), "%s", why_no_ktls(w));
	atomic_store_explicit(
		&shown->expires, (int64_t)crew__tls_expires(w->net.tls), memory_order_release);
}

static void note(const crew_worker *w, bool taken, const char *why)
{
	struct crew__event event = { .kind = CREW__EVENT_TLS };
	event.values[0] = taken;
	event.values[1] = w->net.tls ? (uint64_t)crew__tls_expires(w->net.tls) : 0;
	snprintf(event.text, sizeof(event.text), "%s", why);
	crew__events_add(w->net.stats.events, &event);
}

static void tell(const crew_worker *w, int status, const char *why)
{
	char date[DATE_MAX];
	note(w, status == 0, status == 0 ? "" : why);
	if (status == 0)
		crew__log(CREW_INFO, "%s: new certificates are in force; the first expires %s",
			w->service->name, date_text(crew__tls_expires(w->net.tls), date));
	else
		crew__log(CREW_ERROR,
			"%s: the new certificates are not taken, the old stay in force: %s",
			w->service->name, why);
}

static int put_in_force(crew_worker *w, struct crew__tls_context *take_context)
{
	if (!w->tls) {
		w->tls = calloc(1, sizeof(*w->tls));
		if (!w->tls) {
			crew__tls_context_unref(take_context);
			return -ENOMEM;
		}
		*w->tls = (struct crew__worker_tls){ .worker = w, .daily = { .fn = on_daily } };
		begin_day(w->tls);
	}
	crew__net_set_tls(&w->net, take_context);
	crew__tls_context_unref(take_context);
	show(w);
	warn_of_expiry(w);
	return 0;
}

int crew__worker_take_tls(crew_worker *w, int files_fd, const struct crew__tls_secret *secret,
	bool loud, char *ret_error, size_t error_size)
{
	struct crew__tls_context *context;
	int status = make_from(w->settings, files_fd, secret, &context, ret_error, error_size);
	if (status == 0) {
		status = put_in_force(w, context);
		if (status < 0)
			snprintf(ret_error, error_size, "no memory");
	}
	if (loud)
		tell(w, status, ret_error);
	return status;
}

void crew__worker_end_tls(crew_worker *w)
{
	if (!w->tls)
		return;
	crew__timer_stop(w->plan.loop, &w->tls->daily);
	free(w->tls);
	w->tls = NULL;
}

/* ---- watching files ------------------------------------------------------------------------ */

void crew__tls_watch_begin(
	struct crew__tls_watch *watch, const struct crew__service_settings *settings)
{
	watch->done = watch->seen = crew__tls_files_stamp(settings);
}

bool crew__tls_watch_look(
	struct crew__tls_watch *watch, const struct crew__service_settings *settings)
{
	uint64_t stamp = crew__tls_files_stamp(settings);
	bool settled = stamp == watch->seen;
	watch->seen = stamp;
	if (!settled || stamp == watch->done)
		return false;
	watch->done = stamp;
	return true;
}
