/* certificates.c - reading the files of TLS in the master, and renewing them while workers run. */
#include "proc/certificates.h"

#include "base/clock.h"
#include "proc/chronicle.h"
#include "proc/master.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	PATIENCE_LOOKS = 10, /* for a judge that does not answer */
	ERROR_MAX = 1024
};

/* ---- of a generation ----------------------------------------------------------------------- */

static int read_service(struct crew__certificates *certificates, unsigned place,
	const struct crew__service_settings *settings, char *ret_error, size_t error_size)
{
	char why[ERROR_MAX];
	int fd;
	/* Looked at first: a file that is written meanwhile is then another one than this. */
	crew__tls_watch_begin(&certificates->service[place].watch, settings);
	int status = crew__tls_files_read(settings, &fd, why, sizeof(why));
	if (status < 0) {
		snprintf(ret_error, error_size, "service %s cannot speak TLS: %s",
			settings->service->name, why);
		return status;
	}
	certificates->service[place].fd = fd;
	certificates->service[place].has = true;
	return 0;
}

int crew__certificates_read(struct crew__certificates *certificates,
	const struct crew__settings *settings, const unsigned *places, char *ret_error,
	size_t error_size)
{
	int status = 0;
	for (unsigned i = 0; status == 0 && i < settings->services; i++)
		if (crew__service_speaks_tls(&settings->service[i]))
			status = read_service(certificates, places[i], &settings->service[i],
				ret_error, error_size);
	if (status < 0)
		crew__certificates_fini(certificates);
	return status;
}

void crew__certificates_fini(struct crew__certificates *certificates)
{
	for (unsigned i = 0; i < CREW_MAX_SERVICES; i++)
		if (certificates->service[i].has)
			close(certificates->service[i].fd);
	memset(certificates, 0, sizeof(*certificates));
}

/* ---- candidates ---------------------------------------------------------------------------- */

static void drop(struct crew__master *master, unsigned service)
{
	struct crew__certificate_watch *watch = &master->certificate_watch;
	if (watch->candidate[service].has)
		close(watch->candidate[service].fd);
	watch->candidate[service].has = false;
}

/* The generation's files are to be looked at as if this look had not been. */
static void look_again(struct crew__master *master, unsigned service)
{
	master->generation->certificates.service[service].watch.done = 0;
}

static struct crew__child *find_judge(struct crew__master *master, unsigned service)
{
	for (unsigned i = 0; i < master->slot_count; i++) {
		struct crew__slot *slot = master->slots[i];
		if (slot->service == service && slot->child &&
			slot->child->state == CREW__CHILD_READY)
			return slot->child;
	}
	return NULL;
}

static void put_forward(struct crew__master *master, unsigned service, int take_fd)
{
	struct crew__certificate_watch *watch = &master->certificate_watch;
	struct crew__child *judge = find_judge(master, service);
	drop(master, service);
	uint32_t serial = ++watch->serial;
	if (!judge || crew__child_tls(judge, take_fd, serial, true) < 0) {
		close(take_fd);
		look_again(master, service);
		return;
	}
	watch->candidate[service].has = true;
	watch->candidate[service].fd = take_fd;
	watch->candidate[service].serial = serial;
	watch->candidate[service].judge = judge->pid;
	watch->candidate[service].looks = 0;
}

static void read_anew(struct crew__master *master, unsigned service)
{
	const struct crew__service_settings *settings = crew__generation_service(
		master->generation, service);
	char why[ERROR_MAX];
	int fd;
	if (crew__tls_files_read(settings, &fd, why, sizeof(why)) == 0) {
		put_forward(master, service, fd);
		return;
	}
	crew__log(CREW_ERROR, "%s: the new certificates are not taken, the old stay in force: %s",
		settings->service->name, why);
	crew__chronicle_certificates(master->registry, service, why);
}

/* A judge that has died, or hangs, has not judged. */
static void look_after_judge(struct crew__master *master, unsigned service)
{
	struct crew__certificate_watch *watch = &master->certificate_watch;
	bool lives = false;
	for (unsigned i = 0; i < master->slot_count; i++) {
		const struct crew__slot *slot = master->slots[i];
		lives = lives || (slot->service == service && slot->child &&
					 slot->child->pid == watch->candidate[service].judge);
	}
	if (lives && ++watch->candidate[service].looks < PATIENCE_LOOKS)
		return;
	drop(master, service);
	look_again(master, service);
}

static void look(struct crew__master *master)
{
	struct crew__generation *generation = master->generation;
	for (unsigned i = 0; i < CREW_MAX_SERVICES; i++) {
		if (!generation->certificates.service[i].has)
			continue;
		if (master->certificate_watch.candidate[i].has)
			look_after_judge(master, i);
		if (crew__tls_watch_look(&generation->certificates.service[i].watch,
			    crew__generation_service(generation, i)))
			read_anew(master, i);
	}
}

static int look_later(struct crew__master *master)
{
	uint64_t due = crew__clock_ns() + CREW__TLS_LOOK_MS * CREW__NS_PER_MS;
	return crew__timer_start(master->loop, &master->certificate_watch.timer, due);
}

static void on_timer(struct crew__timer *timer)
{
	struct crew__certificate_watch *watch = crew__container_of(
		timer, struct crew__certificate_watch, timer);
	struct crew__master *master = crew__container_of(
		watch, struct crew__master, certificate_watch);
	/* A reload reads the files itself, and its workers judge them. */
	if (master->state == CREW__MASTER_RUNNING)
		look(master);
	if (master->state != CREW__MASTER_STOPPING && look_later(master) < 0)
		crew__log(CREW_ERROR,
			"certificates are not looked at any more: no memory for a timer; restart");
}

/* ---- the judge's answer -------------------------------------------------------------------- */

static void hand_to_all(struct crew__master *master, unsigned service, int fd, uint32_t serial,
	const struct crew__child *judge)
{
	struct crew__node *head = &master->family.children;
	for (struct crew__node *n = head->next, *after; n != head; n = after) {
		struct crew__child *child = crew__container_of(n, struct crew__child, node);
		after = n->next;
		if (child == judge || child->service != service ||
			child->generation != master->generation)
			continue;
		/* Who cannot be told now keeps the old, and says so when it matters: at its
		 * certificate's end. */
		int status = crew__child_tls(child, fd, serial, false);
		if (status < 0)
			crew__log(CREW_WARN, "%s#%u keeps the old certificates: %s",
				crew__child_settings(child)->service->name, child->id,
				strerror(-status));
	}
}

void crew__certificates_answered(
	struct crew__master *master, const struct crew__child *child, uint32_t serial, bool taken)
{
	struct crew__certificate_watch *watch = &master->certificate_watch;
	unsigned service = child->service;
	if (child->generation != master->generation || !watch->candidate[service].has ||
		watch->candidate[service].serial != serial ||
		watch->candidate[service].judge != child->pid)
		return;
	if (!taken) {
		drop(master, service);
		return;
	}
	struct crew__certificates *certificates = &master->generation->certificates;
	watch->candidate[service].has = false;
	close(certificates->service[service].fd);
	certificates->service[service].fd = watch->candidate[service].fd;
	hand_to_all(master, service, certificates->service[service].fd, serial, child);
}

/* ---- watching ------------------------------------------------------------------------------ */

int crew__certificates_watch(struct crew__master *master)
{
	bool any = false;
	crew__certificates_unwatch(master);
	for (unsigned i = 0; i < CREW_MAX_SERVICES; i++)
		any = any || master->generation->certificates.service[i].has;
	master->certificate_watch.timer.fn = on_timer;
	return any ? look_later(master) : 0;
}

void crew__certificates_unwatch(struct crew__master *master)
{
	crew__timer_stop(master->loop, &master->certificate_watch.timer);
	for (unsigned i = 0; i < CREW_MAX_SERVICES; i++)
		drop(master, i);
}
