/* single_certificates.c - one process of master and workers: the certificates of its members, and
 * looking for newer ones. */
#include "proc/single_parts.h"

#include "base/clock.h"
#include "proc/chronicle.h"

#include <stdio.h>
#include <unistd.h>

static int take_certificates(
	struct crew__member *member, int take_fd, bool tell, char *ret_error, size_t error_size)
{
	crew__tls_secret_advance(&member->secret);
	int status = crew__worker_take_tls(
		member->worker, take_fd, &member->secret, tell, ret_error, error_size);
	close(take_fd);
	return status;
}

static void look_at(struct crew__member *member)
{
	char why[1024];
	int fd;
	const struct crew__service_settings *settings = crew__member_settings(member);
	if (member->done || !crew__service_speaks_tls(settings) ||
		!crew__tls_watch_look(&member->certificates, settings))
		return;
	/* What cannot be read is told here, what is not sound by the worker. */
	if (crew__tls_files_read(settings, &fd, why, sizeof(why)) == 0) {
		(void)take_certificates(member, fd, true, why, sizeof(why));
		return;
	}
	crew__log(CREW_ERROR, "%s: the new certificates are not taken, the old stay in force: %s",
		settings->service->name, why);
	crew__chronicle_certificates(
		member->single->registry, (unsigned)(member - member->single->members), why);
}

static void look_later(struct crew__single *single)
{
	uint64_t due = crew__clock_ns() + CREW__TLS_LOOK_MS * CREW__NS_PER_MS;
	if (crew__timer_start(single->loop, &single->certificate_timer, due) < 0)
		crew__log(CREW_ERROR,
			"certificates are not looked at any more: no memory for a timer; restart");
}

static void on_certificate_timer(struct crew__timer *timer)
{
	struct crew__single *single = crew__container_of(
		timer, struct crew__single, certificate_timer);
	for (unsigned i = 0; i < single->count; i++)
		look_at(&single->members[i]);
	look_later(single);
}

static int begin_certificates(struct crew__member *member, char *ret_error, size_t error_size)
{
	int fd;
	const struct crew__service_settings *settings = crew__member_settings(member);
	crew__tls_watch_begin(&member->certificates, settings);
	int status = crew__tls_secret_new(&member->secret);
	if (status < 0) {
		snprintf(ret_error, error_size, "the kernel has no random bytes");
		return status;
	}
	status = crew__tls_files_read(settings, &fd, ret_error, error_size);
	return status < 0 ? status : take_certificates(member, fd, false, ret_error, error_size);
}

int crew__single_begin_certificates(struct crew__single *single, char *ret_error, size_t error_size)
{
	bool any = false;
	single->certificate_timer.fn = on_certificate_timer;
	for (unsigned i = 0; i < single->count; i++) {
		char why[1024];
		struct crew__member *member = &single->members[i];
		if (!crew__service_speaks_tls(crew__member_settings(member)))
			continue;
		int status = begin_certificates(member, why, sizeof(why));
		if (status < 0) {
			snprintf(ret_error, error_size, "service %s cannot speak TLS: %s",
				crew__member_settings(member)->service->name, why);
			return status;
		}
		any = true;
	}
	if (any)
		look_later(single);
	return 0;
}
