// Kernels compiled for the neon target; its instruction-set flags are set in CMakeLists.txt.
#define POOLCORE_VECTOR_BYTES 16
#define POOLCORE_TABLE kNeonTable
#include "kernels/target.inl.hpp"
