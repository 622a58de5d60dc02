// Kernels compiled for the scalar target; its instruction-set flags are set in CMakeLists.txt.
#define POOLCORE_VECTOR_BYTES 0
#define POOLCORE_TABLE kScalarTable
#include "kernels/target.inl.hpp"
