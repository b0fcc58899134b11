/* table5.c - table2.c, but what it does when it is to become the master is for the test to say. */
#define VARIANT 5
#define AWKWARD
#include "table.c"
