/* test_session_env.c - the database of sessions below the store: its directory, what has ended,
 * what somebody else left there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/session_env.h"
#include "web/session_lmdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MINUTE = 60 * 1000
};

static char dir[64], error[512];
static struct crew__session_env env;

static const char *id_of(int number)
{
	static char id[64];
	snprintf(id, sizeof(id), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij-%06d", number);
	return id;
}

static int set_up(void **state)
{
	(void)state;
	error[0] = '\0';
	snprintf(dir, sizeof(dir), "/tmp/crew-session-env-%d", (int)getpid());
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static void others_directories_are_not_used(void **state)
{
	(void)state;
	struct stat st;
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(crew__env_open(&env, dir, 1 << 20, error, sizeof(error)), -EPERM);
	assert_non_null(strstr(error, "mode 0755"));
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(symlink("/tmp", dir), 0);
	assert_true(crew__env_open(&env, dir, 1 << 20, error, sizeof(error)) < 0);
	assert_int_equal(unlink(dir), 0);
	assert_int_equal(crew__env_open(&env, dir, 1 << 20, error, sizeof(error)), 0);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	crew__env_close(&env);
	if (geteuid() == 0) { /* for the user that a worker becomes */
		char other[80];
		snprintf(other, sizeof(other), "%s/x", dir);
		assert_int_equal(crew__session_dir(other, 12345, 54321, error, sizeof(error)), 0);
		assert_int_equal(stat(other, &st), 0);
		assert_int_equal(st.st_uid, 12345);
		assert_int_equal(st.st_gid, 54321);
		assert_int_equal(crew__session_dir(other, 12345, 54321, error, sizeof(error)), 0);
		assert_int_equal(crew__session_dir(other, 777, 777, error, sizeof(error)), -EPERM);
		/* One that a sibling has made, and not given away yet. */
		assert_int_equal(chown(other, 0, 0), 0);
		assert_int_equal(crew__session_dir(other, 777, 777, error, sizeof(error)), 0);
		assert_true(stat(other, &st) == 0 && st.st_uid == 777 && st.st_gid == 777);
	}
	char nowhere[96];
	snprintf(nowhere, sizeof(nowhere), "%s/no/where", dir);
	assert_int_equal(
		crew__session_dir(nowhere, geteuid(), getegid(), error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, nowhere));
}

static void what_has_ended_is_collected(void **state)
{
	(void)state;
	assert_int_equal(crew__env_open(&env, dir, 1 << 20, error, sizeof(error)), 0);
	assert_false(crew__env_has_ended(&env));
	int64_t now = crew__env_now();
	for (int i = 0; i < 300; i++)
		assert_int_equal(
			crew__env_save(&env, id_of(i), CREW_BYTES("x"), now - 300 + i, false), 0);
	assert_int_equal(crew__env_save(&env, id_of(999), CREW_BYTES("x"), now + MINUTE, false), 0);
	assert_true(crew__env_has_ended(&env));
	assert_int_equal(crew__env_collect(&env, 256), 256);
	assert_true(crew__env_has_ended(&env));
	assert_int_equal(crew__env_collect(&env, 256), 44);
	assert_false(crew__env_has_ended(&env));
	assert_int_equal(crew__env_collect(&env, 256), 0);
	crew_bytes bytes;
	int64_t left;
	assert_int_equal(crew__env_read(&env, id_of(999), &bytes, &left), 0);
	crew__env_read_done(&env);
	crew__env_close(&env);
}

/* A value that is too short to have an end, an end without its value: by nobody of ours. */
static void what_nobody_wrote_harms_nobody(void **state)
{
	(void)state;
	MDB_txn *txn;
	MDB_val id = { 43, (void *)(uintptr_t)id_of(1) }, value = { 3, "abc" }, nothing = { 0, "" };
	MDB_val end = { 10, "\0\0\0\0\0\0\0\1xy" }, brief = { 2, "ab" };
	crew_bytes bytes;
	int64_t left;
	assert_int_equal(crew__env_open(&env, dir, 1 << 20, error, sizeof(error)), 0);
	assert_int_equal(mdb_txn_begin(env.env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_put(txn, env.values, &id, &value, 0), 0);
	assert_int_equal(mdb_put(txn, env.ends, &end, &nothing, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	assert_int_equal(crew__env_read(&env, id_of(1), &bytes, &left), -EUCLEAN);
	assert_int_equal(crew__env_touch(&env, id_of(1), crew__env_now() + MINUTE), -EUCLEAN);
	assert_int_equal(crew__env_remove(&env, id_of(1)), -EUCLEAN);
	assert_true(crew__env_has_ended(&env));
	assert_int_equal(crew__env_collect(&env, 10), 1);
	assert_int_equal(mdb_txn_begin(env.env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_put(txn, env.ends, &brief, &nothing, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	assert_false(crew__env_has_ended(&env));
	assert_int_equal(crew__env_collect(&env, 10), 0);
	assert_int_equal(
		crew__env_save(&env, id_of(2), CREW_BYTES("x"), crew__env_now() + MINUTE, false),
		0);
	assert_int_equal(crew__env_read(&env, id_of(2), &bytes, &left), 0);
	crew__env_read_done(&env);
	crew__env_close(&env);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(others_directories_are_not_used),
		TEST(what_has_ended_is_collected),
		TEST(what_nobody_wrote_harms_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
